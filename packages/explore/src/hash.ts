// SPDX-License-Identifier: MIT
// Mixing for state hashes: a state's hash is the XOR of one mix for each cell, updated at each write.

/** Mixes two 32-bit values (murmur3's finaliser over a combination). */
export function mix(a: number, b: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b ^ 0x7f4a7c15, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Mixes a cell's identity and its value, which may be any safe integer. */
export function mixValue(cell: number, value: number): number {
  const low = value | 0;
  if (low === value) return mix(cell, low);
  return mix(mix(cell, low), (value - low) / 0x1_0000_0000);
}

/** A set of 64-bit hashes: open addressing over pairs of halves, which share a cache line. */
export class HashSet {
  size = 0;
  #table: Int32Array;
  #mask: number;

  constructor(bits = 18) {
    this.#table = new Int32Array(2 << bits);
    this.#mask = (1 << bits) - 1;
  }

  /** Empties the set and keeps its room. */
  clear(): void {
    this.#table.fill(0);
    this.size = 0;
  }

  /** Adds a hash; false if it was there. */
  add(low: number, high: number): boolean {
    if (this.size * 3 > this.#mask * 2) this.#grow();
    // 0, 0 marks a free slot.
    const key = (low | high) === 0 ? 1 : low;
    if (!this.#insert(this.#table, key, high)) return false;
    this.size++;
    return true;
  }

  #insert(table: Int32Array, low: number, high: number): boolean {
    let slot = (low & this.#mask) * 2;
    for (;;) {
      const l = table[slot] as number;
      const h = table[slot + 1] as number;
      if (l === low && h === high) return false;
      if ((l | h) === 0) break;
      slot = (slot + 2) & (this.#mask * 2 + 1);
    }
    table[slot] = low;
    table[slot + 1] = high;
    return true;
  }

  #grow(): void {
    const old = this.#table;
    this.#table = new Int32Array(old.length * 2);
    this.#mask = old.length - 1;
    for (let i = 0; i < old.length; i += 2) {
      const low = old[i] as number;
      const high = old[i + 1] as number;
      if ((low | high) !== 0) this.#insert(this.#table, low, high);
    }
  }
}
