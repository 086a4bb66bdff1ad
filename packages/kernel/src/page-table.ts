// SPDX-License-Identifier: MIT
// The kernel's page tables: entries, leaves, and large leaves taken apart. arch/x86/mm/pat/set_memory.c

import {
  entryFrame,
  entryHigh,
  entryKey,
  entryLow,
  type Machine,
  PAGE_SIZE,
  PTE_A,
  PTE_P,
  PTE_PS,
  PTE_RW,
  PTE_US,
} from '@pkslab/x86-cpu';

/** _KERNPG_TABLE; D does not count in it. */
const TABLE_FLAGS = PTE_P | PTE_RW | PTE_A;
/** Bits of an entry's low half that are no address. */
const FLAGS_MASK = 0xfff;

/** Bytes that an entry of a level covers. */
export function levelSize(level: number): number {
  return PAGE_SIZE * 2 ** ((level - 1) * 9);
}

/** A leaf of the page tables: where its entry lies, and what it maps. */
export interface Leaf {
  readonly at: number;
  readonly frame: number;
  /** In bytes. */
  readonly size: number;
  readonly level: number;
  /** The first address that it maps. */
  readonly address: number;
  readonly low: number;
  readonly high: number;
}

export class PageTables {
  readonly levels: 4 | 5;
  readonly #machine: Machine;
  readonly #root: number;
  /** A zeroed page for a table, or −1. */
  readonly #allocTable: () => number;
  readonly #tableFlags: number;

  /** `user`: of the user half, where every entry lets user mode through, and the leaf decides. */
  constructor(machine: Machine, root: number, allocTable: () => number, user = false) {
    this.#machine = machine;
    this.#root = root;
    this.levels = machine.cpu.format.levels;
    this.#allocTable = allocTable;
    this.#tableFlags = user ? TABLE_FLAGS | PTE_US : TABLE_FLAGS;
  }

  /**
   * Physical address of the entry of `level` for a virtual address; tables on the way are made, and leaves on
   * the way are split. −1: no page for a table.
   */
  entryAddress(address: number, level: number): number {
    let table = this.#root;
    for (let at: number = this.levels; at > level; at--) {
      const slot = slotOf(table, address, at);
      const low = this.#machine.readEntry(slot);
      const high = this.#machine.resultHigh;
      if ((low & PTE_P) === 0) table = this.#newTable(slot);
      else if ((low & PTE_PS) === 0) table = entryFrame(low, high);
      else table = this.#splitEntry(slot, at, low, high);
      if (table < 0) return -1;
    }
    return slotOf(table, address, level);
  }

  /** lookup_address: the leaf that maps an address, read level by level; null if there is none. */
  leafOf(address: number): Leaf | null {
    const leaf = this.#walk(address);
    return typeof leaf === 'number' ? null : leaf;
  }

  /** The first leaf at or behind an address and before `end`; what an absent entry covers is passed over at once. */
  nextLeaf(address: number, end: number): Leaf | null {
    for (let at = address; at < end; ) {
      const leaf = this.#walk(at);
      if (typeof leaf !== 'number') return leaf;
      const size = levelSize(leaf);
      at = (Math.floor(at / size) + 1) * size;
    }
    return null;
  }

  /** The leaf that maps an address, or the level of the entry that is not present. */
  #walk(address: number): Leaf | number {
    let table = this.#root;
    for (let level: number = this.levels; level > 0; level--) {
      const at = slotOf(table, address, level);
      const low = this.#machine.readEntry(at);
      if ((low & PTE_P) === 0) return level;
      const high = this.#machine.resultHigh;
      table = entryFrame(low, high);
      const size = levelSize(level);
      if (level === 1 || (low & PTE_PS) !== 0) {
        const start = Math.floor(address / size) * size;
        return { at, frame: table, size, level, address: start, low, high };
      }
    }
    return 0;
  }

  /** free_pgtables: the table that the entry of `level` for an address points to, out of use; −1 if there is none. */
  takeTable(address: number, level: number): number {
    let table = this.#root;
    for (let at: number = this.levels; at >= level; at--) {
      const slot = slotOf(table, address, at);
      const low = this.#machine.readEntry(slot);
      if ((low & PTE_P) === 0 || (low & PTE_PS) !== 0) return -1;
      table = entryFrame(low, this.#machine.resultHigh);
      if (at === level) this.#machine.writeEntry(slot, 0, 0);
    }
    return table;
  }

  /** split_large_page until a leaf starts at `address`; false without a page for a table. */
  splitAt(address: number): boolean {
    for (;;) {
      const leaf = this.leafOf(address);
      if (leaf === null || leaf.address === address) return true;
      if (this.#splitEntry(leaf.at, leaf.level, leaf.low, leaf.high) < 0) return false;
    }
  }

  /** Gives a leaf another key, in one write. */
  setKey(leaf: Leaf, key: number): void {
    this.#machine.writeEntry(leaf.at, leaf.low, entryHigh(leaf.frame, key, true));
  }

  /** flush_tlb_all: an IPI to each CPU, which answers at once here. */
  flushAll(): void {
    for (const cpu of this.#machine.cpus) this.#machine.flushTlb(true, cpu.index);
  }

  #newTable(slot: number): number {
    const table = this.#allocTable();
    if (table < 0) return -1;
    this.#machine.writeEntry(slot, entryLow(table, this.#tableFlags), entryHigh(table, 0, false));
    return table;
  }

  /**
   * A leaf becomes a table of 512 smaller ones that map the same with the same key: the new table is complete
   * before the entry points to it, and no CPU keeps the old leaf.
   */
  #splitEntry(slot: number, level: number, low: number, high: number): number {
    const table = this.#allocTable();
    if (table < 0) return -1;
    const frame = entryFrame(low, high);
    const flags = (low & FLAGS_MASK) - (level === 2 ? PTE_PS : 0);
    const first = entryHigh(frame, entryKey(high), true);
    this.#machine.fillEntries(table, 512, entryLow(frame, flags), first);
    this.#machine.writeEntry(slot, entryLow(table, this.#tableFlags), entryHigh(table, 0, false));
    this.flushAll();
    return table;
  }
}

function slotOf(table: number, address: number, level: number): number {
  const page = Math.floor(address / PAGE_SIZE);
  return table + (Math.floor(page / 2 ** ((level - 1) * 9)) & 0x1ff) * 8;
}
