// SPDX-License-Identifier: MIT
// Builds page tables in a machine's RAM.

import { formatAddress } from './address.ts';
import type { MachineCore } from './core.ts';
import {
  entryFrame,
  entryHigh,
  entryLow,
  HUGE_PAGE_SIZE,
  LARGE_PAGE_SIZE,
  PAGE_SIZE,
  PTE_G,
  PTE_P,
  PTE_PS,
  PTE_RW,
  PTE_US,
  tableIndex,
} from './paging.ts';
import { splitAddress } from './wide.ts';

/** How large a page is. */
export type PageSize = 4096 | 0x20_0000 | 0x4000_0000;

/** What a mapping asks for; each default is the safe one. */
export interface Mapping {
  /** Default 4096. */
  readonly size?: PageSize;
  /** Default true. */
  readonly writable?: boolean;
  /** U/S in every entry. Default false. */
  readonly user?: boolean;
  /** Default true. */
  readonly noExecute?: boolean;
  /** Protection key, 0 to 15. Default 0. */
  readonly key?: number;
  readonly global?: boolean;
}

const LEVEL: Readonly<Record<number, number>> = {
  [PAGE_SIZE]: 1,
  [LARGE_PAGE_SIZE]: 2,
  [HUGE_PAGE_SIZE]: 3,
};

/**
 * Page tables under one root, from pages of RAM taken upwards. For tests, examples and small programs: it writes
 * past the operations, so do it before the machine runs, or flush the TLB yourself.
 *
 * @example
 * const tables = new PageTables(machine, 0x10000);
 * tables.map(0x1000, 0x20_0000, { key: 5 });
 * machine.writeCr(3, tables.root);
 */
export class PageTables {
  /** Physical address of the top table, for CR3. */
  readonly root: number;
  readonly levels: 4 | 5;
  readonly #machine: MachineCore;
  #next: number;

  /** `at`: the first page of RAM that tables may take. */
  constructor(machine: MachineCore, at: number, levels: 4 | 5 = machine.cpu.format.levels) {
    this.#machine = machine;
    this.#next = at;
    this.levels = levels;
    this.root = this.#newTable();
  }

  /** Maps one page. A table that is there already keeps its rights, but for U/S, which a user page adds. */
  map(address: number | bigint | string, physical: number, mapping: Mapping = {}): void {
    const size = mapping.size ?? PAGE_SIZE;
    const { page } = splitAddress(address);
    if (physical % size !== 0 || page % (size / PAGE_SIZE) !== 0) {
      throw new RangeError(
        `page of ${size} bytes at ${formatAddress(page * PAGE_SIZE)} -> 0x${physical.toString(16)}: align both to its size`,
      );
    }
    const level = LEVEL[size];
    if (level === undefined) throw new RangeError(`a page of ${size} bytes: 4096, 2 MiB or 1 GiB`);
    const flags =
      PTE_P |
      (mapping.writable === false ? 0 : PTE_RW) |
      (mapping.user === true ? PTE_US : 0) |
      (mapping.global === true ? PTE_G : 0) |
      (level > 1 ? PTE_PS : 0);
    const high = entryHigh(physical, mapping.key ?? 0, mapping.noExecute !== false);
    this.#write(this.entryAddress(page, level, mapping.user), entryLow(physical, flags), high);
  }

  /** Maps a range with 4 KiB pages. */
  mapRange(address: number, physical: number, length: number, mapping: Mapping = {}): void {
    const size = mapping.size ?? PAGE_SIZE;
    for (let done = 0; done < length; done += size) {
      this.map(address + done, physical + done, mapping);
    }
  }

  /** Physical address of a page's entry of a level; the tables above it are made. */
  entryAddress(page: number, level: number, user = false): number {
    let table = this.root;
    for (let at: number = this.levels; at > level; at--) {
      const slot = table + tableIndex(page, at) * 8;
      const words = this.#machine.memory.chunkAt(slot).words;
      const index = (slot & (LARGE_PAGE_SIZE - 1)) >>> 2;
      const low = words[index] as number;
      if ((low & PTE_P) === 0) {
        table = this.#newTable();
        this.#write(
          slot,
          entryLow(table, PTE_P | PTE_RW | (user ? PTE_US : 0)),
          entryHigh(table, 0, false),
        );
        continue;
      }
      if (user) words[index] = low | PTE_US;
      table = entryFrame(low, words[index + 1] as number);
    }
    return table + tableIndex(page, level) * 8;
  }

  #newTable(): number {
    const table = this.#next;
    this.#next += PAGE_SIZE;
    const chunk = this.#machine.memory.chunkAt(table);
    const offset = table & (LARGE_PAGE_SIZE - 1);
    chunk.bytes.fill(0, offset, offset + PAGE_SIZE);
    return table;
  }

  #write(physical: number, low: number, high: number): void {
    const { words } = this.#machine.memory.chunkAt(physical);
    const index = (physical & (LARGE_PAGE_SIZE - 1)) >>> 2;
    words[index] = low;
    words[index + 1] = high;
  }
}
