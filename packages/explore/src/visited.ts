// SPDX-License-Identifier: MIT
// Which states a search has been in: by 64 bits of hash, or by all that they are.

import { HashSet, mix } from './hash.ts';
import type { UndoLog } from './journal.ts';

/** States that were entered; a tag tells visits of one state apart that are not to count as the same. */
export interface Visited {
  readonly size: number;
  /** The odds that any two of them were taken for one. */
  readonly collisionOdds: number;
  clear(): void;
  /** Adds the state that the log leads to; false if it was there. */
  add(log: UndoLog, tag: number): boolean;
}

/** Hash compaction: two states that share their 64 bits count as one. */
export class HashedStates implements Visited {
  readonly #hashes = new HashSet();

  get size(): number {
    return this.#hashes.size;
  }

  get collisionOdds(): number {
    return collisionOdds(this.size);
  }

  clear(): void {
    this.#hashes.clear();
  }

  add({ low, high }: UndoLog, tag: number): boolean {
    return this.#hashes.add(tag === 0 ? low : low ^ mix(tag, 0x2545f491), high);
  }
}

/** Whole states: slower by a factor of ten or more and larger by as much, and never wrong. */
export class ExactStates implements Visited {
  readonly collisionOdds = 0;
  readonly #texts = new Set<string>();

  get size(): number {
    return this.#texts.size;
  }

  clear(): void {
    this.#texts.clear();
  }

  add(log: UndoLog, tag: number): boolean {
    const { size } = this.#texts;
    this.#texts.add(`${tag} ${log.stateText()}`);
    return this.#texts.size > size;
  }
}

/**
 * The odds that any two of so many states share their 64 bits of hash, if the hash is as good as chance: a shared
 * one hides a violation only if every way to it leads through that state.
 */
function collisionOdds(states: number): number {
  return Math.min(1, (states * (states - 1)) / 2 / 2 ** 64);
}
