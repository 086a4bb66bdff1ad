// SPDX-License-Identifier: MIT
// What runs after a power failure, once for each way in which what it reads may have survived.

import { CHUNK_SIZE, LINE_SIZE, type PhysicalMemory } from '@pkslab/x86-cpu';
import type { Persistence, PersistenceDomain } from './persistence.ts';

/** Persistent memory as a power failure left it; addresses are physical. */
export interface CrashedMemory {
  /** A copy of so many bytes. */
  read(physical: number, length: number): Uint8Array;
  /** 4 bytes, little-endian. */
  u32(physical: number): number;
}

/**
 * What a scenario does after a power failure, and how it judges what it finds.
 *
 * Of each line of 64 bytes a prefix of its stores has survived: at least those up to its last write-back that was
 * fenced (`adr`), or all (`eadr`); 8 aligned bytes survive whole or not at all. Which it is is chosen when `check`
 * first reads the line, and every choice is tried, so a recovery that reads little is tried seldom.
 */
export interface Recovery {
  /** Default `adr`. */
  readonly domain?: PersistenceDomain;
  /**
   * Null, or what is wrong in one sentence. It must depend on nothing but what it reads, and on cells (by their
   * `values`) that tell the checker what had been promised before: to the machine they are gone.
   */
  check(memory: CrashedMemory): string | null;
}

/** What a power failure led to. */
export interface Crash {
  /** What was wrong in the last run of the recovery; null: nothing was in any. */
  readonly message: string | null;
  /** In words: the lines that the last run read, and the version of each. */
  readonly reads: readonly string[];
  /** Whether every choice was tried. */
  readonly complete: boolean;
}

/** Runs of a recovery after one power failure; past them the space counts as not finished. */
const RUNS_MAX = 10_000;

export class Recoveries {
  /** Runs so far, after all power failures. */
  runs = 0;
  readonly #memory: PhysicalMemory;
  readonly #persistence: Persistence;
  readonly #recovery: Recovery;

  constructor(memory: PhysicalMemory, persistence: Persistence, recovery: Recovery) {
    this.#memory = memory;
    this.#persistence = persistence;
    this.#recovery = recovery;
  }

  /** Runs the recovery in every way until one says that something is wrong. */
  run(): Crash {
    const choices = new Choices();
    for (let run = 1; ; run++) {
      this.runs++;
      choices.begin();
      const survivors = new Survivors(this.#memory, this.#persistence, choices);
      const message = this.#recovery.check(survivors);
      const reads = survivors.reads;
      if (message !== null) return { message, reads, complete: true };
      if (!choices.next()) return { message, reads, complete: true };
      if (run === RUNS_MAX) return { message, reads, complete: false };
    }
  }
}

/** The choices of one run after the other, as the digits of a number that is counted up. */
class Choices {
  readonly #taken: number[] = [];
  readonly #limits: number[] = [];
  #at = 0;

  begin(): void {
    this.#at = 0;
  }

  /** One of so many alternatives, from 0. */
  choose(count: number): number {
    const at = this.#at++;
    if (at === this.#taken.length) {
      this.#taken.push(0);
      this.#limits.push(count);
    }
    if (this.#limits[at] !== count) {
      throw new Error('a recovery read other lines than before: it must depend on nothing else');
    }
    return this.#taken[at] as number;
  }

  /** Makes the next run choose otherwise; false if there is no other way. */
  next(): boolean {
    while (this.#taken.length > 0) {
      const last = (this.#taken.pop() as number) + 1;
      const limit = this.#limits.pop() as number;
      if (last === limit) continue;
      this.#taken.push(last);
      this.#limits.push(limit);
      return true;
    }
    return false;
  }
}

/** Memory as one run of a recovery finds it. */
class Survivors implements CrashedMemory {
  readonly reads: string[] = [];
  readonly #lines = new Map<number, Uint8Array>();
  readonly #memory: PhysicalMemory;
  readonly #persistence: Persistence;
  readonly #choices: Choices;
  /** How many stores of an operation that was cut in the middle have survived; −1 before anybody has looked. */
  #torn = -1;

  constructor(memory: PhysicalMemory, persistence: Persistence, choices: Choices) {
    this.#memory = memory;
    this.#persistence = persistence;
    this.#choices = choices;
  }

  read(physical: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = physical + done;
      const within = at % LINE_SIZE;
      const part = Math.min(length - done, LINE_SIZE - within);
      const line = this.#line((at - within) / LINE_SIZE);
      bytes.set(line.subarray(within, within + part), done);
      done += part;
    }
    return bytes;
  }

  u32(physical: number): number {
    return new DataView(this.read(physical, 4).buffer).getUint32(0, true);
  }

  #line(line: number): Uint8Array {
    let content = this.#lines.get(line);
    if (content === undefined) {
      content = this.#survivor(line);
      this.#lines.set(line, content);
    }
    return content;
  }

  /** The first look at a line: one of its versions. */
  #survivor(line: number): Uint8Array {
    const { lines, torn } = this.#persistence.unsure;
    const history = lines.get(line);
    if (history !== undefined) {
      const { versions } = history;
      const chosen = this.#choices.choose(versions.length);
      this.#note(line, `${chosen} of ${versions.length - 1} stores since it was sure survived`);
      return versions[chosen] as Uint8Array;
    }
    const own = torn.filter((store) => store.line === line);
    if (own.length === 0) {
      this.#note(line, 'sure');
      return this.#inMemory(line);
    }
    // That none survived is what a power failure before the operation leaves.
    if (this.#torn < 0) this.#torn = this.#choices.choose(torn.length) + 1;
    this.#note(line, `${this.#torn} of ${torn.length} stores of the last operation survived`);
    const survived = torn.slice(0, this.#torn).filter((store) => store.line === line);
    return survived.at(-1)?.after ?? (own[0]?.before as Uint8Array);
  }

  #note(line: number, what: string): void {
    this.reads.push(`line 0x${(line * LINE_SIZE).toString(16)}: ${what}`);
  }

  #inMemory(line: number): Uint8Array {
    const address = line * LINE_SIZE;
    const offset = address % CHUNK_SIZE;
    return this.#memory.chunkAt(address).bytes.slice(offset, offset + LINE_SIZE);
  }
}
