// SPDX-License-Identifier: MIT
// What was stored to persistent memory, written back and fenced, in order: what crash tests start from.

import { CHUNK_SIZE, type Chunk, LINE_SIZE, type PhysicalMemory } from '@pkslab/x86-cpu';

/** One step of a line's way to the media. Lines count 64 bytes of physical memory from address 0. */
export type PersistenceEvent =
  | {
      /** At most 8 bytes within an aligned unit of 8: what the media take whole or not at all. */
      readonly kind: 'store';
      readonly line: number;
      readonly from: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: 'writeBack'; readonly line: number }
  | { readonly kind: 'fence' };

/** What the memory tells of. */
type PersistenceObserver = NonNullable<PhysicalMemory['persistence']>;

const ATOMIC_BYTES = 8;
const LINES_PER_CHUNK = CHUNK_SIZE / LINE_SIZE;

interface Pending {
  readonly chunk: Chunk;
  readonly offset: number;
  readonly length: number;
}

/**
 * Records every store to persistent memory, every write-back and every fence while it is attached.
 *
 * Use it for guests that cannot be run again: run them once, then ask {@link crashPoint} what could be left.
 *
 * @example
 * const log = new StoreLog(kernel.machine.memory);
 * kernel.call(() => device.write(0, bytes));
 * log.detach();
 * log.events.length; // => 9: eight stores of 8 bytes, and the line's write-back
 */
export class StoreLog implements PersistenceObserver {
  readonly #memory: PhysicalMemory;
  readonly #events: PersistenceEvent[] = [];
  readonly #before = new Map<number, Uint8Array>();
  #pending: Pending | null = null;

  constructor(memory: PhysicalMemory) {
    this.#memory = memory;
    memory.persistence = this;
  }

  /** What happened so far, oldest first. */
  get events(): readonly PersistenceEvent[] {
    this.#settle();
    return this.#events;
  }

  /** What each line held before the first store that was recorded. */
  get before(): ReadonlyMap<number, Uint8Array> {
    return this.#before;
  }

  /** Stops recording. */
  detach(): void {
    this.#settle();
    if (this.#memory.persistence === this) this.#memory.persistence = null;
  }

  storing(chunk: Chunk, offset: number, length: number): void {
    this.#settle();
    const last = (offset + length - 1) >>> 6;
    for (let within = offset >>> 6; within <= last; within++) {
      const line = chunk.index * LINES_PER_CHUNK + within;
      if (this.#before.has(line)) continue;
      this.#before.set(line, chunk.bytes.slice(within * LINE_SIZE, (within + 1) * LINE_SIZE));
    }
    this.#pending = { chunk, offset, length };
  }

  writingBack(chunk: Chunk, word: number, lines: number): void {
    this.#settle();
    for (let bit = 0; bit < 32; bit++) {
      if (((lines >>> bit) & 1) === 0) continue;
      this.#events.push({
        kind: 'writeBack',
        line: chunk.index * LINES_PER_CHUNK + word * 32 + bit,
      });
    }
  }

  fencing(): void {
    this.#settle();
    this.#events.push({ kind: 'fence' });
  }

  /** The bytes of a store are there once the next thing happens: it is told of before they change. */
  #settle(): void {
    if (this.#pending === null) return;
    const { chunk, offset, length } = this.#pending;
    this.#pending = null;
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const next = Math.min(end, (Math.floor(at / ATOMIC_BYTES) + 1) * ATOMIC_BYTES);
      const line = chunk.index * LINES_PER_CHUNK + (at >>> 6);
      const bytes = chunk.bytes.slice(at, next);
      this.#events.push({ kind: 'store', line, from: at % LINE_SIZE, bytes });
      at = next;
    }
  }
}
