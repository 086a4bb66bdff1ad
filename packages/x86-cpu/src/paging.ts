// SPDX-License-Identifier: MIT
// Paging entries and the 4- and 5-level walk. Intel SDM Vol. 3A §4.5.

import type { WalkRights } from './access.ts';
import type { PhysicalMemory } from './memory.ts';

/** Bytes of a 4 KiB page. */
export const PAGE_SIZE = 4096;
/** Bytes of a 2 MiB page. */
export const LARGE_PAGE_SIZE = 0x20_0000;
/** Bytes of a 1 GiB page. */
export const HUGE_PAGE_SIZE = 0x4000_0000;

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
// Bits of a large leaf's address field below its alignment are reserved; bit 12 is PAT.
const MISALIGNED_2M = 0x001f_e000; // bits 20:13
const MISALIGNED_1G = 0x3fff_e000; // bits 29:13

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

/** What entries look like under the registers and the CPU. */
export interface PagingFormat {
  readonly levels: 4 | 5;
  /** Reserved bits of an entry's high half: the address bits from MAXPHYADDR up, and NX while EFER.NXE=0. */
  readonly reservedHigh: number;
  /** Whether a PDPTE may map a 1 GiB page. */
  readonly gigabytePages: boolean;
}

/** 4 levels, every feature, 52 physical address bits. */
export const WIDEST_FORMAT: PagingFormat = { levels: 4, reservedHigh: 0, gigabytePages: true };

/** Reserved bits of an entry's high half, for a MAXPHYADDR and EFER.NXE. */
export function reservedHighBits(physicalAddressBits: number, nxe: boolean): number {
  const installed = physicalAddressBits <= 32 ? 0 : 2 ** (physicalAddressBits - 32) - 1;
  return (HIGH_FRAME & ~installed) | (nxe ? 0 : HIGH_NX);
}

/**
 * Whether an entry with P=1 at a level has a reserved bit set. SDM Vol. 3A §4.5, tables 4-14 to 4-20.
 *
 * @example
 * entryReserved(PTE_P | PTE_PS, 0, 4, WIDEST_FORMAT); // => true
 */
export function entryReserved(
  low: number,
  high: number,
  level: number,
  format: PagingFormat,
): boolean {
  if ((high & format.reservedHigh) !== 0) return true;
  if (level === 1 || (low & PTE_PS) === 0) return false;
  if (level === 2) return (low & MISALIGNED_2M) !== 0;
  return level > 3 || !format.gigabytePages || (low & MISALIGNED_1G) !== 0;
}

/** Whether an entry with P=1 maps a page rather than a table. */
export function isLeaf(low: number, level: number): boolean {
  return level === 1 || (level <= 3 && (low & PTE_PS) !== 0);
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
  /** Level of the last entry read: of the leaf 1 for a 4 KiB page, 2 for 2 MiB, 3 for 1 GiB. */
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

/** Index of a page's entry in its table of a level. */
export function tableIndex(page: number, level: number): number {
  return Math.floor(page / 2 ** ((level - 1) * 9)) & 0x1ff;
}

/** Walks the tables at `root` for a page number; changes nothing but `walk`. */
export function walkPage(
  memory: PhysicalMemory,
  root: number,
  page: number,
  walk: Walk,
  format: PagingFormat = WIDEST_FORMAT,
): void {
  walk.present = false;
  walk.reserved = false;
  walk.writable = true;
  walk.user = true;
  walk.noExecute = false;
  walk.depth = 0;
  // Both parts are small integers: the page number of a 57-bit address is not.
  const upper = Math.floor(page / 0x4_0000);
  const lower = page - upper * 0x4_0000;
  let table = root;
  for (let level: number = format.levels; level >= 1; level--) {
    const shifted = level < 3 ? lower >>> (9 * (level - 1)) : upper >> (9 * (level - 3));
    const address = table + (shifted & 0x1ff) * 8;
    walk.entries[walk.depth++] = address;
    walk.level = level;
    const words = memory.chunkAt(address).words;
    const at = (address & (LARGE_PAGE_SIZE - 1)) >>> 2;
    const low = words[at] as number;
    const high = words[at + 1] as number;
    if ((low & PTE_P) === 0) return;
    if (entryReserved(low, high, level, format)) {
      walk.present = true;
      walk.reserved = true;
      return;
    }
    if ((low & PTE_RW) === 0) walk.writable = false;
    if ((low & PTE_US) === 0) walk.user = false;
    if (high < 0) walk.noExecute = true;
    if (isLeaf(low, level)) {
      finish(walk, low, high, level, lower);
      return;
    }
    table = (high & HIGH_FRAME) * 0x1_0000_0000 + ((low & 0xffff_f000) >>> 0);
  }
}

function finish(walk: Walk, low: number, high: number, level: number, lower: number): void {
  walk.present = true;
  walk.key = entryKey(high);
  walk.global = (low & PTE_G) !== 0;
  walk.dirty = (low & PTE_D) !== 0;
  // A large leaf's address ends above its page offset; PAT, bit 12, is not part of it.
  const pages = level === 1 ? 0 : level === 2 ? lower & 0x1ff : lower;
  const address =
    level === 1 ? low & 0xffff_f000 : level === 2 ? low & 0xffe0_0000 : low & 0xc000_0000;
  walk.frame = (high & HIGH_FRAME) * 0x1_0000_0000 + (address >>> 0) + pages * PAGE_SIZE;
}
