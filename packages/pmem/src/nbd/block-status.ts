// SPDX-License-Identifier: MIT
// base:allocation: which ranges read as zeroes, found by reading them.

import { STATE_ZERO } from './constants.ts';
import type { NbdExport } from './export.ts';
import { putU32 } from './wire.ts';

/** How much one answer covers; the client asks on from there. */
const COVER_MAX: number = 4 * 2 ** 20;
/** Runs shorter than this are not told apart. */
const GRAIN: number = 64 * 1024;
/** Descriptors in one answer, at most. */
export const EXTENTS_MAX: number = COVER_MAX / GRAIN + 1;

const READ_SIZE = GRAIN;

/** Looks at ranges of an export. */
export class BlockStatus {
  readonly #export: NbdExport;
  readonly #words: Int32Array = new Int32Array(READ_SIZE / 4);
  readonly #bytes: Uint8Array = new Uint8Array(this.#words.buffer);
  /** Descriptors put by the last `describe`. */
  extents = 0;

  constructor(target: NbdExport) {
    this.#export = target;
  }

  /**
   * Puts descriptors (length, flags) of a range's beginning, one only if asked; 0 or an errno.
   *
   * @param into where they go, from `at` on: room for EXTENTS_MAX
   */
  describe(offset: number, length: number, one: boolean, into: Uint8Array, at: number): number {
    this.extents = 0;
    const end = offset + Math.min(length, COVER_MAX);
    let start = offset;
    let last = -1;
    for (let next = offset; next < end; ) {
      const part = Math.min(end - next, GRAIN - (next % GRAIN));
      const error = this.#export.read(next, this.#bytes, 0, part);
      if (error !== 0) return error;
      const state = this.#isZero(part) ? STATE_ZERO : 0;
      if (state !== last && last >= 0) {
        this.#put(into, at, next - start, last);
        if (one) return 0;
        start = next;
      }
      last = state;
      next += part;
    }
    this.#put(into, at, end - start, last);
    return 0;
  }

  #put(into: Uint8Array, at: number, length: number, state: number): void {
    putU32(into, at + this.extents * 8, length);
    putU32(into, at + this.extents * 8 + 4, state);
    this.extents++;
  }

  #isZero(length: number): boolean {
    // The last word of an odd length ends in zeroes, whatever was there before.
    if ((length & 3) !== 0) this.#bytes.fill(0, length, (length + 3) & ~3);
    const words = this.#words;
    const count = (length + 3) >>> 2;
    for (let i = 0; i < count; i++) if (words[i] !== 0) return false;
    return true;
  }
}
