// SPDX-License-Identifier: MIT
// The TLB of one CPU: translations with their rights and key, never the key registers. Intel SDM Vol. 3A §4.10.

import type { Chunk } from './memory.ts';

/** Entries of a TLB; a power of two. */
export const TLB_ENTRIES = 1024;
export const TLB_MASK: number = TLB_ENTRIES - 1;

// A `rights` word: bits 4:0 the shift of the key's pair in its register, bit 5 which register, then one bit for
// each access that the paging bits allow under the control registers of the fill.
export const RIGHTS_USER_PAGE_SHIFT = 5; // 0: PKRS, 1: PKRU
export const RIGHTS_SR: number = 1 << 8; // supervisor read
export const RIGHTS_SW: number = 1 << 9; // supervisor write (only once D is set)
export const RIGHTS_SF: number = 1 << 10; // supervisor fetch
export const RIGHTS_UR: number = 1 << 11; // user read
export const RIGHTS_UW: number = 1 << 12; // user write
export const RIGHTS_UF: number = 1 << 13; // user fetch
export const RIGHTS_SR_AC: number = 1 << 14; // supervisor read with RFLAGS.AC set
export const RIGHTS_SW_AC: number = 1 << 15; // supervisor write with RFLAGS.AC set

const EMPTY = Number.NaN; // equal to no page number
const NO_WORDS = new Int32Array(0);

export class Tlb {
  /** Page number of each entry. */
  readonly tags: Float64Array = new Float64Array(TLB_ENTRIES).fill(EMPTY);
  readonly rights: Int32Array = new Int32Array(TLB_ENTRIES);
  /** Word index of the page in its chunk. */
  readonly base: Int32Array = new Int32Array(TLB_ENTRIES);
  /** Host view of the chunk: not architectural, only where the bytes are. */
  readonly words: Int32Array[] = new Array<Int32Array>(TLB_ENTRIES).fill(NO_WORDS);
  readonly chunks: (Chunk | null)[] = new Array<Chunk | null>(TLB_ENTRIES).fill(null);
  readonly flags: Uint8Array = new Uint8Array(TLB_ENTRIES);

  fill(
    page: number,
    rights: number,
    chunk: Chunk,
    base: number,
    large: boolean,
    global: boolean,
  ): number {
    const slot = page & TLB_MASK;
    this.tags[slot] = page;
    this.rights[slot] = rights;
    this.base[slot] = base;
    this.words[slot] = chunk.words;
    this.chunks[slot] = chunk;
    this.flags[slot] = (large ? 1 : 0) | (global ? 2 : 0);
    return slot;
  }

  /** INVLPG: drops the entry of a page, and with it every piece of the large page around it. */
  invalidatePage(page: number): void {
    const slot = page & TLB_MASK;
    if (this.tags[slot] === page && ((this.flags[slot] as number) & 1) === 0) {
      this.tags[slot] = EMPTY;
      return;
    }
    const large = Math.floor(page / 512);
    for (let i = 0; i < TLB_ENTRIES; i++) {
      const tag = this.tags[i] as number;
      if (
        tag === page ||
        (((this.flags[i] as number) & 1) !== 0 && Math.floor(tag / 512) === large)
      ) {
        this.tags[i] = EMPTY;
      }
    }
  }

  flush(global: boolean): void {
    for (let i = 0; i < TLB_ENTRIES; i++) {
      if (global || ((this.flags[i] as number) & 2) === 0) this.tags[i] = EMPTY;
    }
  }

  /** Drops entries whose bytes lie in a chunk that leaves host memory. */
  forget(chunk: Chunk): void {
    for (let i = 0; i < TLB_ENTRIES; i++) {
      if (this.chunks[i] === chunk) this.tags[i] = EMPTY;
    }
  }
}
