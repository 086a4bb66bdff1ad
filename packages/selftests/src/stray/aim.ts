// SPDX-License-Identifier: MIT
// Random addresses on a device, for stores of 4 bytes that no correct code would make.

import { LINE_SIZE } from '@pkslab/x86-cpu';
import { mix } from '../prng.ts';
import type { ImageExtent } from '../sqlite/layout.ts';

/** Unaligned offsets in a cache line at which 4 bytes stay within it. */
const OFFSETS: readonly number[] = Array.from({ length: LINE_SIZE - 3 }, (_, i) => i).filter(
  (offset) => (offset & 3) !== 0,
);

/** Stray store number `n` into a set of extents; a pure function of the seed. */
export class RandomAim {
  readonly #seed: number;
  readonly #base: number;
  readonly #extents: readonly ImageExtent[];

  /** @param base what offset 0 is, as an address or a physical address */
  constructor(seed: number, base: number, extents: readonly ImageExtent[]) {
    this.#seed = seed;
    this.#base = base;
    this.#extents = extents;
  }

  address(n: number): number {
    const extent = this.#extents[mix(this.#seed, n * 4) % this.#extents.length] as ImageExtent;
    const lines = extent.size / LINE_SIZE;
    const line = Math.floor((mix(this.#seed, n * 4 + 1) / 2 ** 32) * lines);
    const offset = OFFSETS[mix(this.#seed, n * 4 + 2) % OFFSETS.length] as number;
    return this.#base + extent.start + line * LINE_SIZE + offset;
  }

  value(n: number): number {
    return mix(this.#seed, n * 4 + 3);
  }
}
