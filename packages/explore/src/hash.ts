// SPDX-License-Identifier: MIT
// Mixing for state hashes: a state's hash is the XOR of one mix for each cell, updated at each write.

/** Mixes two 32-bit values (murmur3's finaliser over a combination). */
export function mix(a: number, b: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b ^ 0x7f4a7c15, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** A set of 64-bit hashes: open addressing over two arrays. */
export class HashSet {
  size = 0;
  #low: Int32Array;
  #high: Int32Array;
  #mask: number;

  constructor(bits = 16) {
    this.#low = new Int32Array(1 << bits);
    this.#high = new Int32Array(1 << bits);
    this.#mask = (1 << bits) - 1;
  }

  /** Adds a hash; false if it was there. */
  add(low: number, high: number): boolean {
    if (this.size * 2 > this.#mask) this.#grow();
    // 0, 0 marks a free slot.
    const key = (low | high) === 0 ? 1 : low;
    let slot = key & this.#mask;
    for (;;) {
      const l = this.#low[slot] as number;
      const h = this.#high[slot] as number;
      if (l === key && h === high) return false;
      if ((l | h) === 0) break;
      slot = (slot + 1) & this.#mask;
    }
    this.#low[slot] = key;
    this.#high[slot] = high;
    this.size++;
    return true;
  }

  #grow(): void {
    const low = this.#low;
    const high = this.#high;
    this.#low = new Int32Array(low.length * 2);
    this.#high = new Int32Array(low.length * 2);
    this.#mask = low.length * 2 - 1;
    this.size = 0;
    for (let i = 0; i < low.length; i++) {
      const l = low[i] as number;
      const h = high[i] as number;
      if ((l | h) !== 0) this.add(l, h);
    }
  }
}
