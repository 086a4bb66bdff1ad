// SPDX-License-Identifier: MIT
// The undo log of a search, and the hash of the state that it leads to.

import type { Chunk, Column, Journal } from '@pkslab/x86-cpu';
import { mix, mixValue } from './hash.ts';

/** The two halves of a hash see cells under different identities. */
const HIGH_HALF = 0x5bd1e995;

interface BytesRecord {
  readonly chunk: Chunk;
  readonly offset: number;
  readonly old: Uint8Array;
}

/** Records what executed operations change: one record a write, undone in reverse. */
export class UndoLog implements Journal {
  /** Hash of all that was changed since the start: XOR over cells of mix(cell, value). */
  low = 0;
  high = 0;
  /** Set when paging entries may have been undone: TLBs hold what is no longer so. */
  onBytesUndone: () => void = () => {};
  readonly #columns: (Column | null)[] = [];
  readonly #indices: number[] = [];
  readonly #olds: number[] = [];
  readonly #bytes: BytesRecord[] = [];
  #pending = 0;
  #length = 0;

  /** A point to undo to. */
  get mark(): number {
    return this.#length;
  }

  cell(column: Column, index: number, old: number, value: number): void {
    const at = this.#length++;
    this.#columns[at] = column;
    this.#indices[at] = index;
    this.#olds[at] = old;
    const low = mix(column.nameHash, index);
    const high = mix(column.nameHash ^ HIGH_HALF, index);
    this.low ^= mixValue(low, old) ^ mixValue(low, value);
    this.high ^= mixValue(high, old) ^ mixValue(high, value);
  }

  bytes(chunk: Chunk, offset: number, length: number): void {
    // Bytes that the same operation changed before may overlap these.
    this.settle();
    const at = this.#length++;
    const old = chunk.bytes.slice(offset, offset + length);
    this.#columns[at] = null;
    this.#indices[at] = this.#bytes.length;
    this.#bytes.push({ chunk, offset, old });
    this.#pending++;
  }

  /** Called after each operation: bytes that it changed enter the hash. */
  settle(): void {
    for (let i = this.#bytes.length - this.#pending; i < this.#bytes.length; i++) {
      const { chunk, offset, old } = this.#bytes[i] as BytesRecord;
      this.#hashBytes(chunk, offset, old);
    }
    this.#pending = 0;
  }

  /** Takes back everything since `mark`; the hash was `low`, `high` then. */
  undo(mark: number, low: number, high: number): void {
    while (this.#length > mark) {
      const at = --this.#length;
      const column = this.#columns[at] as Column | null;
      if (column === null) {
        this.#undoBytes();
        continue;
      }
      const index = this.#indices[at] as number;
      column.values[index] = this.#olds[at] as number;
      column.changed?.(index);
    }
    this.low = low;
    this.high = high;
  }

  /** All that differs from the start of the log, as one text: equal texts are equal states. */
  stateText(): string {
    const start = new Map<string, number>();
    const now = new Map<string, number>();
    let bytes = 0;
    for (let at = 0; at < this.#length; at++) {
      const column = this.#columns[at] as Column | null;
      const index = this.#indices[at] as number;
      if (column === null) {
        noteBytes(this.#bytes[bytes++] as BytesRecord, start, now);
        continue;
      }
      const key = `${column.id}.${index}`;
      if (!start.has(key)) start.set(key, this.#olds[at] as number);
      now.set(key, column.values[index] as number);
    }
    const changed = [...now].filter(([key, value]) => start.get(key) !== value);
    return changed
      .map(([key, value]) => `${key}=${value}`)
      .sort()
      .join();
  }

  #undoBytes(): void {
    const { chunk, offset, old } = this.#bytes.pop() as BytesRecord;
    chunk.bytes.set(old, offset);
    this.onBytesUndone();
  }

  #hashBytes(chunk: Chunk, offset: number, old: Uint8Array): void {
    for (let i = 0; i < old.length; i++) {
      const before = old[i] as number;
      const now = chunk.bytes[offset + i] as number;
      if (before === now) continue;
      const low = mix(chunk.index, offset + i);
      const high = mix(chunk.index ^ HIGH_HALF, offset + i);
      this.low ^= mix(low, before) ^ mix(low, now);
      this.high ^= mix(high, before) ^ mix(high, now);
    }
  }
}

/** What the bytes of a record were at its time, if nothing is known of before, and are now. */
function noteBytes(
  { chunk, offset, old }: BytesRecord,
  start: Map<string, number>,
  now: Map<string, number>,
): void {
  for (let i = 0; i < old.length; i++) {
    const key = `m${chunk.index}.${offset + i}`;
    if (!start.has(key)) start.set(key, old[i] as number);
    now.set(key, chunk.bytes[offset + i] as number);
  }
}
