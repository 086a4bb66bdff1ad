// SPDX-License-Identifier: MIT
// Seeded pseudo-random numbers: the same seed gives the same run everywhere.

/** Scrambles a word together with a counter; a pure function, so a re-run of it gives the same. */
export function mix(seed: number, counter: number): number {
  let z = (seed + Math.imul(counter + 1, 0x9e37_79b9)) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0_aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a_2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

/** A stream of numbers from a seed (splitmix32). */
export class Prng {
  readonly #seed: number;
  #counter = 0;

  constructor(seed: number) {
    this.#seed = mix(seed >>> 0, Math.floor(seed / 2 ** 32));
  }

  /** A word of 32 random bits. */
  next(): number {
    return mix(this.#seed, this.#counter++);
  }

  /** From 0 to `limit` − 1. */
  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit);
  }
}
