// SPDX-License-Identifier: MIT
// What is kept of a chunk of persistent memory that does not stay in host memory.

import {
  bitOf,
  type Chunk,
  LINE_SIZE,
  lowestBit,
  type Region,
  setBit,
  WORDS_PER_CHUNK,
} from './chunk.ts';

/** What is kept of an evicted chunk: the lines that its backing does not have yet. */
export interface Spill {
  readonly region: Region;
  readonly lines: Uint16Array;
  /** Of each line: 1 dirty, 2 written back, 3 both. */
  readonly states: Uint8Array;
  readonly bytes: Uint8Array;
}

/** The lines of a chunk that leaves host memory; null if its backing has everything. */
export function spill(chunk: Chunk): Spill | null {
  const { region, dirty, pending } = chunk;
  if (region === null || dirty === null || pending === null) return null;
  if (chunk.dirtyLines === 0 && chunk.pendingLines === 0) return null;
  const lines: number[] = [];
  for (let word = 0; word < WORDS_PER_CHUNK; word++) {
    const either = (dirty[word] as number) | (pending[word] as number);
    for (let rest = either; rest !== 0; rest &= rest - 1) lines.push(word * 32 + lowestBit(rest));
  }
  const states = lines.map((line) => bitOf(dirty, line) | (bitOf(pending, line) << 1));
  const bytes = new Uint8Array(lines.length * LINE_SIZE);
  for (const [i, line] of lines.entries()) {
    const start = line * LINE_SIZE;
    bytes.set(chunk.bytes.subarray(start, start + LINE_SIZE), i * LINE_SIZE);
  }
  return {
    region,
    bytes,
    lines: Uint16Array.from(lines),
    states: Uint8Array.from(states),
  };
}

/** Lays spilled lines over a chunk that was read again. */
export function unspill(chunk: Chunk, { lines, states, bytes }: Spill): void {
  for (const [i, line] of lines.entries()) {
    chunk.bytes.set(bytes.subarray(i * LINE_SIZE, (i + 1) * LINE_SIZE), line * LINE_SIZE);
    const state = states[i] as number;
    if ((state & 1) !== 0) chunk.dirtyLines += setBit(chunk.dirty, line);
    if ((state & 2) !== 0) {
      chunk.pendingLines += setBit(chunk.pending, line);
      setBit(chunk.pendingWords, line >>> 5);
    }
  }
}
