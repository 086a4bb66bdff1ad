// SPDX-License-Identifier: MIT
// Paging entries and the 4-level walk. Intel SDM Vol. 3A §4.5.

import type { WalkRights } from './access.ts';
import type { PhysicalMemory } from './memory.ts';

/** Bytes of a 4 KiB page. */
export const PAGE_SIZE = 4096;
/** Bytes of a 2 MiB page. */
export const LARGE_PAGE_SIZE: number = 2 * 1024 * 1024;

// Bits of the low half of an entry.
export const PTE_P: number = 1 << 0; // present
export const PTE_RW: number = 1 << 1; // writable
export const PTE_US: number = 1 << 2; // user
export const PTE_A: number = 1 << 5; // accessed
export const PTE_D: number = 1 << 6; // dirty
export const PTE_PS: number = 1 << 7; // large page, in a PDE or PDPTE
export const PTE_G: number = 1 << 8; // global
// Bits of the high half.
const HIGH_KEY_SHIFT = 59 - 32; // protection key, bits 62:59
const HIGH_NX = 0x8000_0000; // no execute, bit 63
const HIGH_FRAME = 0xfffff; // physical address, bits 51:32

/** The key in the high half of an entry (bits 62:59). */
export function entryKey(high: number): number {
  return (high >>> HIGH_KEY_SHIFT) & 0xf;
}

/** The high half of an entry for a physical address, key and NX. */
export function entryHigh(physical: number, key: number, noExecute: boolean): number {
  const frame = Math.floor(physical / 0x1_0000_0000) & HIGH_FRAME;
  return (frame | (key << HIGH_KEY_SHIFT) | (noExecute ? HIGH_NX : 0)) >>> 0;
}

/** The low half of an entry for a physical address and flag bits. */
export function entryLow(physical: number, flags: number): number {
  return ((physical % 0x1_0000_0000) | flags) >>> 0;
}

/** The physical address in an entry, its low 12 bits cleared. */
export function entryFrame(low: number, high: number): number {
  return (high & HIGH_FRAME) * 0x1_0000_0000 + (((low & 0xffff_f000) >>> 0) as number);
}

/** What a walk found. One object is reused: read it before the next walk. */
export interface Walk extends WalkRights {
  present: boolean;
  reserved: boolean;
  writable: boolean;
  user: boolean;
  noExecute: boolean;
  key: number;
  /** Physical address of the 4 KiB page that the address lies in. */
  frame: number;
  /** Level of the leaf: 1 is a 4 KiB page, 2 a 2 MiB page. */
  level: number;
  /** Physical addresses of the entries read, top level first, and how many. */
  readonly entries: Float64Array;
  depth: number;
  global: boolean;
  dirty: boolean;
}

export function newWalk(): Walk {
  return {
    present: false,
    reserved: false,
    writable: false,
    user: false,
    noExecute: false,
    key: 0,
    frame: 0,
    level: 0,
    entries: new Float64Array(5),
    depth: 0,
    global: false,
    dirty: false,
  };
}

/** Walks the tables at `root` for a page number; changes nothing but `walk`. */
export function walkPage(memory: PhysicalMemory, root: number, page: number, walk: Walk): void {
  walk.present = false;
  walk.reserved = false;
  walk.writable = true;
  walk.user = true;
  walk.noExecute = false;
  walk.depth = 0;
  let table = root;
  for (let level = 4; level >= 1; level--) {
    const index = Math.floor(page / 2 ** ((level - 1) * 9)) & 0x1ff;
    const address = table + index * 8;
    walk.entries[walk.depth++] = address;
    const words = memory.chunkAt(address).words;
    const at = (address & (LARGE_PAGE_SIZE - 1)) >>> 2;
    const low = words[at] as number;
    const high = words[at + 1] as number;
    if ((low & PTE_P) === 0) return;
    if ((low & PTE_RW) === 0) walk.writable = false;
    if ((low & PTE_US) === 0) walk.user = false;
    if (high < 0) walk.noExecute = true;
    if (level === 1 || (level === 2 && (low & PTE_PS) !== 0)) {
      walk.present = true;
      walk.level = level;
      walk.key = entryKey(high);
      walk.global = (low & PTE_G) !== 0;
      walk.dirty = (low & PTE_D) !== 0;
      walk.frame = entryFrame(low, high);
      if (level === 2) {
        walk.frame = walk.frame - (walk.frame % LARGE_PAGE_SIZE) + (page & 0x1ff) * PAGE_SIZE;
      }
      return;
    }
    table = entryFrame(low, high);
  }
}
