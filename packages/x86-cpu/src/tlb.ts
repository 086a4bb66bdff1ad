// SPDX-License-Identifier: MIT
// The TLB of one CPU: translations with their rights and key, never the key registers. Intel SDM Vol. 3A §4.10.

import type { Chunk } from './chunk.ts';

/** Slots for 4 KiB translations; a power of two. */
const TLB_ENTRIES = 1024;
/** Slots for 2 MiB translations; a power of two. */
const TLB_LARGE_ENTRIES = 8192;
export const TLB_MASK: number = TLB_ENTRIES - 1;

// An `info` word: flags in bits 9:0, above them the word index of the page in its chunk (a multiple of 1024).
/** Bits 4:0: the page's class, twice its key, plus 1 for a user page; a CPU's `readDeny` has a bit for each class. */
export const INFO_CLASS = 0x1f;
export const INFO_USER: number = 1 << 0; // U/S=1 in every entry
export const INFO_KEY_SHIFT = 1;
export const INFO_WRITABLE: number = 1 << 5; // R/W=1 in every entry
export const INFO_DIRTY: number = 1 << 6; // D is set in the leaf
export const INFO_STORE: number = 1 << 7; // writable, dirty, and nobody keeps count of stored lines
export const INFO_NO_EXECUTE: number = 1 << 8; // NX in some entry
export const INFO_GLOBAL: number = 1 << 9; // G in the leaf, and CR4.PGE was set
export const INFO_FLAGS = 0x3ff;

/** How large the page is that a translation is of, or a piece of. */
export const PageLevel = { small: 1, large: 2, huge: 3 } as const;

const EMPTY = 0.5; // equal to no address
const NO_WORDS = new Int32Array(0);
const LARGE = 2 * 1024 * 1024;
const HUGE = 1024 * 1024 * 1024;

/** The slot of a 2 MiB page, by its address. */
function largeSlot(address: number): number {
  return Math.floor(address / LARGE) & (TLB_LARGE_ENTRIES - 1);
}

/** One translation, as it is saved and restored. */
export interface TlbEntry {
  /** Address of the first byte. */
  readonly tag: number;
  readonly info: number;
  readonly chunk: Chunk;
  /** Level of the leaf that it came from. */
  readonly level: number;
  /** Held in a slot for 2 MiB. */
  readonly large: boolean;
}

/**
 * Two arrays, each with one place for an address: 4 KiB translations, and 2 MiB ones. A 1 GiB page enters as 2 MiB
 * pieces, and scalar accesses to a large page enter 4 KiB pieces of it; a piece never outlives its large entry.
 */
export class Tlb {
  /** Address of each 4 KiB translation's page. */
  readonly tags: Float64Array = new Float64Array(TLB_ENTRIES).fill(EMPTY);
  readonly infos: Int32Array = new Int32Array(TLB_ENTRIES);
  /** Host view of the chunk: not architectural, only where the bytes are. */
  readonly words: Int32Array[] = new Array<Int32Array>(TLB_ENTRIES).fill(NO_WORDS);
  readonly chunks: (Chunk | null)[] = new Array<Chunk | null>(TLB_ENTRIES).fill(null);
  /** Level of the leaf of each. */
  readonly #levels: Uint8Array = new Uint8Array(TLB_ENTRIES);
  readonly largeTags: Float64Array = new Float64Array(TLB_LARGE_ENTRIES).fill(EMPTY);
  readonly largeInfos: Int32Array = new Int32Array(TLB_LARGE_ENTRIES);
  readonly largeChunks: (Chunk | null)[] = new Array<Chunk | null>(TLB_LARGE_ENTRIES).fill(null);
  readonly #largeLevels: Uint8Array = new Uint8Array(TLB_LARGE_ENTRIES);
  /** 1 where 4 KiB pieces of the entry may be held. */
  readonly #inPieces: Uint8Array = new Uint8Array(TLB_LARGE_ENTRIES);
  // Slots that were filled since the last flush; a slot may be empty again.
  readonly #live: Slots = new Slots(TLB_ENTRIES);
  readonly #largeLive: Slots = new Slots(TLB_LARGE_ENTRIES);
  #hugeEntries = false;

  /** Enters a 4 KiB translation, or a 4 KiB piece of a large one. Returns its slot. */
  fill(tag: number, info: number, chunk: Chunk, level: number): number {
    const slot = (tag / 4096) & TLB_MASK;
    const old = this.tags[slot] as number;
    if (old === EMPTY) this.#live.add(slot);
    this.tags[slot] = tag;
    this.infos[slot] = info;
    this.words[slot] = chunk.words;
    this.chunks[slot] = chunk;
    this.#levels[slot] = level;
    return slot;
  }

  /** Enters a 2 MiB translation, or a 2 MiB piece of a 1 GiB one. Returns its slot. */
  fillLarge(tag: number, info: number, chunk: Chunk, level: number): number {
    const slot = largeSlot(tag);
    const old = this.largeTags[slot] as number;
    if (old === EMPTY) this.#largeLive.add(slot);
    else if (this.#inPieces[slot] === 1) this.#dropPieces(old);
    this.#inPieces[slot] = 0;
    if (level === PageLevel.huge) this.#hugeEntries = true;
    this.largeTags[slot] = tag;
    this.largeInfos[slot] = info;
    this.largeChunks[slot] = chunk;
    this.#largeLevels[slot] = level;
    return slot;
  }

  /** Slot of the 2 MiB translation that covers an address, or -1. */
  findLarge(address: number): number {
    const index = Math.floor(address / LARGE);
    const slot = index & (TLB_LARGE_ENTRIES - 1);
    return this.largeTags[slot] === index * LARGE ? slot : -1;
  }

  /** Enters the 4 KiB piece of a large entry that an address lies in. */
  fillPiece(address: number, large: number): number {
    const tag = Math.floor(address / 4096) * 4096;
    const chunk = this.largeChunks[large] as Chunk;
    const base = (tag - (this.largeTags[large] as number)) >>> 2;
    const info = (this.largeInfos[large] as number) | base;
    this.#inPieces[large] = 1;
    return this.fill(tag, info, chunk, this.#largeLevels[large] as number);
  }

  /** INVLPG: drops the entry of a page, and with it every piece of the large page around it. */
  invalidatePage(page: number): void {
    const tag = page * 4096;
    const slot = page & TLB_MASK;
    if (this.tags[slot] === tag) this.tags[slot] = EMPTY;
    const large = this.findLarge(tag);
    if (large >= 0) this.#dropLarge(large);
    if (this.#hugeEntries) this.#dropHuge(Math.floor(tag / HUGE));
  }

  #dropLarge(slot: number): void {
    const tag = this.largeTags[slot] as number;
    this.largeTags[slot] = EMPTY;
    if (this.#inPieces[slot] === 1) this.#dropPieces(tag);
  }

  /** Pieces of a 2 MiB page lie in 512 slots in a row. */
  #dropPieces(largeTag: number): void {
    const first = (largeTag / 4096) & TLB_MASK;
    for (let i = 0; i < 512; i++) {
      const slot = first + i;
      if (this.tags[slot] === largeTag + i * 4096 && (this.#levels[slot] as number) > 1) {
        this.tags[slot] = EMPTY;
      }
    }
  }

  #dropHuge(huge: number): void {
    const { largeTags } = this;
    this.#largeLive.each((slot) => {
      const inside = Math.floor((largeTags[slot] as number) / HUGE) === huge;
      if (inside && this.#largeLevels[slot] === PageLevel.huge) this.#dropLarge(slot);
    });
  }

  /** Drops every entry; without `global`, every one that is not global. */
  flush(global: boolean): void {
    this.#keep((info) => !global && (info & INFO_GLOBAL) !== 0);
  }

  /** Drops entries whose bytes lie in a chunk that leaves host memory: they are walked for again. */
  forget(chunk: Chunk): void {
    this.#keep((_info, held) => held !== chunk);
  }

  #keep(wanted: (info: number, chunk: Chunk | null) => boolean): void {
    const { tags, infos, chunks, largeTags, largeInfos, largeChunks } = this;
    this.#live.keep((slot) => {
      const tag = tags[slot] as number;
      if (tag === EMPTY) return false;
      if (wanted(infos[slot] as number, chunks[slot] as Chunk)) return true;
      tags[slot] = EMPTY;
      return false;
    });
    this.#largeLive.keep((slot) => {
      const tag = largeTags[slot] as number;
      if (tag === EMPTY) return false;
      if (wanted(largeInfos[slot] as number, largeChunks[slot] as Chunk)) return true;
      largeTags[slot] = EMPTY;
      return false;
    });
    if (this.#largeLive.count === 0) this.#hugeEntries = false;
  }

  /** The translations held now; pieces follow their large entries. */
  entries(): TlbEntry[] {
    const found = new Map<number, TlbEntry>();
    this.#largeLive.each((slot) => {
      const tag = this.largeTags[slot] as number;
      const info = this.largeInfos[slot] as number;
      const level = this.#largeLevels[slot] as number;
      const chunk = this.largeChunks[slot];
      if (tag !== EMPTY && chunk) found.set(slot, { tag, info, chunk, level, large: true });
    });
    this.#live.each((slot) => {
      const tag = this.tags[slot] as number;
      const info = this.infos[slot] as number;
      const level = this.#levels[slot] as number;
      const chunk = this.chunks[slot];
      if (tag !== EMPTY && chunk) found.set(-1 - slot, { tag, info, chunk, level, large: false });
    });
    return [...found.values()];
  }

  /** Enters translations that {@link entries} gave. */
  restore(entries: readonly TlbEntry[]): void {
    for (const { tag, info, chunk, level, large } of entries) {
      if (large) this.#inPieces[this.fillLarge(tag, info, chunk, level)] = 1;
      else this.fill(tag, info, chunk, level);
    }
  }
}

/** A set of slots that is emptied as a whole: flushing costs what was filled. */
class Slots {
  count = 0;
  readonly #slots: Int32Array;
  readonly #listed: Uint8Array;

  constructor(capacity: number) {
    this.#slots = new Int32Array(capacity);
    this.#listed = new Uint8Array(capacity);
  }

  add(slot: number): void {
    if (this.#listed[slot] === 1) return;
    this.#listed[slot] = 1;
    this.#slots[this.count++] = slot;
  }

  each(visit: (slot: number) => void): void {
    for (let i = 0; i < this.count; i++) visit(this.#slots[i] as number);
  }

  keep(wanted: (slot: number) => boolean): void {
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      const slot = this.#slots[i] as number;
      if (wanted(slot)) this.#slots[kept++] = slot;
      else this.#listed[slot] = 0;
    }
    this.count = kept;
  }
}
