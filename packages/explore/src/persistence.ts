// SPDX-License-Identifier: MIT
// What stores to persistent memory may be lost: for each line the versions that a power failure may leave.

import {
  CHUNK_SIZE,
  type Chunk,
  type Column,
  LINE_SIZE,
  type Machine,
  type PhysicalMemory,
} from '@pkslab/x86-cpu';

/** What the platform saves when the power fails: what was written back and fenced (`adr`), or the caches too (`eadr`). */
export type PersistenceDomain = 'adr' | 'eadr';

/** Whom the memory tells of stores, write-backs and fences. */
type PersistenceObserver = NonNullable<PhysicalMemory['persistence']>;

/** A line that is not sure to be what memory holds: its contents since the last that is sure, oldest first. */
interface LineHistory {
  readonly versions: readonly Uint8Array[];
  /** For each CPU the version that a fence of its would make sure. */
  readonly writtenBack: readonly number[];
}

/** A step of the last operation: what a line held once another 8 bytes of it were stored. */
export interface TornStore {
  readonly line: number;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

/** What may be lost; lines count 64 bytes of physical memory from address 0. */
interface Unsure {
  readonly lines: ReadonlyMap<number, LineHistory>;
  readonly torn: readonly TornStore[];
}

/** Lines as they were before a store that is about to change them. */
interface Pending {
  readonly chunk: Chunk;
  readonly offset: number;
  readonly length: number;
  readonly before: Uint8Array;
}

const ATOMIC_BYTES = 8;
const LINES_PER_CHUNK: number = CHUNK_SIZE / LINE_SIZE;
const NOTHING: Unsure = { lines: new Map(), torn: [] };

/**
 * Follows stores, write-backs and fences from operation to operation, back and forth with the search.
 *
 * Each state of all lines has a number, which is in a cell: so it is undone with the rest, and tells states apart
 * that differ in nothing but what a power failure may leave of them. The memory's own bitmaps of dirty lines are
 * not undone, so nothing here depends on them. What was stored before the search began is sure.
 */
export class Persistence implements PersistenceObserver {
  readonly #machine: Machine;
  readonly #memory: PhysicalMemory;
  readonly #domain: PersistenceDomain;
  readonly #cell: Column;
  readonly #states: Unsure[] = [NOTHING];
  readonly #numbers = new Map<string, number>();
  readonly #historyNumbers = new Map<string, number>();
  #pending: Pending[] = [];

  constructor(machine: Machine, domain: PersistenceDomain) {
    const { memory } = machine;
    this.#machine = machine;
    this.#memory = memory;
    this.#domain = domain;
    this.#cell = machine.column({ name: 'explore.unsure', type: 'u32', initial: 0, per: 'global' });
    memory.persistence = this;
  }

  /** What may be lost now. */
  get unsure(): Unsure {
    return this.#states[this.#cell.values[0] as number] as Unsure;
  }

  /** Lets go of the memory. */
  detach(): void {
    if (this.#memory.persistence === this) this.#memory.persistence = null;
  }

  /** Before a step: the last operation is done, and can no longer have been cut in the middle. */
  begin(): void {
    if (this.#domain === 'eadr') this.#cell.poke(0, 0);
  }

  /** After an operation: its stores are in memory. */
  settle(): void {
    if (this.#pending.length === 0) return;
    const stores = this.#pending.flatMap(storesOf);
    this.#pending = [];
    if (this.#domain === 'adr') this.#append(stores);
    else if (stores.length > 1) this.#enter({ lines: NOTHING.lines, torn: stores });
  }

  // ---- what the memory tells ----

  storing(chunk: Chunk, offset: number, length: number): void {
    const from = offset - (offset % LINE_SIZE);
    const end = Math.ceil((offset + length) / LINE_SIZE) * LINE_SIZE;
    this.#pending.push({ chunk, offset, length, before: chunk.bytes.slice(from, end) });
  }

  /** The memory tells of dirty lines only, by what it knows; {@link cleaning} tells of all. */
  writingBack(): void {}

  cleaning(chunk: Chunk, offset: number, length: number): void {
    this.settle();
    const first = lineAt(chunk, offset);
    const last = lineAt(chunk, offset + length - 1);
    const lines = new Map(this.unsure.lines);
    const cpu = this.#machine.cpu.index;
    for (const [line, { versions, writtenBack }] of this.unsure.lines) {
      if (line < first || line > last) continue;
      const own = versions.length - 1;
      lines.set(line, { versions, writtenBack: writtenBack.map((v, i) => (i === cpu ? own : v)) });
    }
    this.#enter({ lines, torn: this.unsure.torn });
  }

  /** A fence orders the write-backs of its own CPU, and no other's. */
  fencing(): void {
    this.settle();
    const cpu = this.#machine.cpu.index;
    const lines = new Map<number, LineHistory>();
    for (const [line, { versions, writtenBack }] of this.unsure.lines) {
      const sure = writtenBack[cpu] as number;
      if (sure === versions.length - 1) continue;
      const others = writtenBack.map((version) => Math.max(0, version - sure));
      lines.set(line, { versions: versions.slice(sure), writtenBack: others });
    }
    this.#enter({ lines, torn: this.unsure.torn });
  }

  // ---- states ----

  #append(stores: readonly TornStore[]): void {
    const lines = new Map(this.unsure.lines);
    const none = this.#machine.cpus.map(() => 0);
    for (const { line, before, after } of stores) {
      const known = lines.get(line) ?? { versions: [before], writtenBack: none };
      const { versions, writtenBack } = known;
      lines.set(line, { versions: [...versions, after], writtenBack });
    }
    this.#enter({ lines, torn: [] });
  }

  #enter(unsure: Unsure): void {
    const text = this.#textOf(unsure);
    let number = text === '' ? 0 : this.#numbers.get(text);
    if (number === undefined) {
      number = this.#states.push(unsure) - 1;
      this.#numbers.set(text, number);
    }
    this.#cell.poke(0, number);
  }

  #textOf({ lines, torn }: Unsure): string {
    const sorted = [...lines].sort(([one], [other]) => one - other);
    const texts = sorted.map(([line, { versions, writtenBack }]) =>
      this.#numberOf(`${line} ${writtenBack} ${versions.join(' ')}`),
    );
    for (const { line, before, after } of torn) {
      texts.push(this.#numberOf(`${line} ${before} ${after}`));
    }
    return texts.join();
  }

  /** Short for a line's text. */
  #numberOf(text: string): number {
    let number = this.#historyNumbers.get(text);
    if (number === undefined) {
      number = this.#historyNumbers.size;
      this.#historyNumbers.set(text, number);
    }
    return number;
  }
}

function lineAt(chunk: Chunk, offset: number): number {
  return chunk.index * LINES_PER_CHUNK + Math.floor(offset / LINE_SIZE);
}

/** What an operation stored, 8 aligned bytes by 8; those that changed nothing leave nothing else behind. */
function storesOf({ chunk, offset, length, before }: Pending): TornStore[] {
  const stores: TornStore[] = [];
  const start = offset - (offset % LINE_SIZE);
  for (let from = start; from < offset + length; from += LINE_SIZE) {
    let content = before.slice(from - start, from - start + LINE_SIZE);
    for (let at = Math.max(from, offset); at < Math.min(from + LINE_SIZE, offset + length); ) {
      const next = Math.min(offset + length, (Math.floor(at / ATOMIC_BYTES) + 1) * ATOMIC_BYTES);
      const after = content.slice();
      after.set(chunk.bytes.subarray(at, next), at - from);
      if (after.some((byte, i) => byte !== content[i])) {
        stores.push({ line: lineAt(chunk, from), before: content, after });
        content = after;
      }
      at = next;
    }
  }
  return stores;
}
