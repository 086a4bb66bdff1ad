// SPDX-License-Identifier: MIT
// The kernel's page tables: direct map and vmalloc area. arch/x86/mm/init_64.c, mm/vmalloc.c

import {
  type Column,
  entryHigh,
  entryKey,
  entryLow,
  type FieldDefinition,
  type Machine,
  newWalk,
  PAGE_SIZE,
  PTE_A,
  PTE_D,
  PTE_G,
  PTE_P,
  PTE_PS,
  PTE_RW,
  type Walk,
  WIDEST_FORMAT,
  walkPage,
} from '@pkslab/x86-cpu';
import { PageAllocator } from './page-alloc.ts';
import { type Leaf, levelSize, PageTables } from './page-table.ts';

/**
 * PAGE_OFFSET: where the direct map starts (0xffff888000000000). With 5 levels too, where Linux has
 * 0xff11000000000000: the layout stays in the top 2^53 bytes, so that every address is exact as a number.
 */
export const PAGE_OFFSET = -0x7780_0000_0000;
/** VMALLOC_START (0xffffc90000000000). */
export const VMALLOC_START = -0x3700_0000_0000;

/** __PAGE_KERNEL: present, writable, accessed, dirty, global; NX is in the high half. */
const PAGE_KERNEL = PTE_P | PTE_RW | PTE_A | PTE_D | PTE_G;

/** pgprot_t: what a kernel mapping asks for besides its frame. */
export interface Protection {
  readonly key: number;
  readonly writable: boolean;
}

/** PAGE_KERNEL */
export const PAGE_KERNEL_PROT: Protection = { key: 0, writable: true };

/** vmap_area: where the next vmalloc range starts. */
const vmallocNextField: FieldDefinition = {
  name: 'vmalloc_next',
  type: 'address',
  initial: VMALLOC_START,
  per: 'global',
};

/** Pages of 4 KiB that are mapped with each key; key 0 is not counted. */
const keyPagesField: FieldDefinition = {
  name: 'init_mm.key_pages',
  type: 'u32',
  initial: 0,
  per: 'object',
  count: 16,
};

/** The kernel's own page tables, one for all CPUs, and the pages of RAM that are handed out. */
export class KernelMappings {
  /** Physical address of the top table, for CR3. */
  readonly root: number;
  /** CONFIG_PGTABLE_LEVELS, as the machine's CR4.LA57 has it when the kernel is made. */
  readonly levels: 4 | 5;
  readonly #machine: Machine;
  readonly #pages: PageAllocator;
  readonly #vmallocNext: Column;
  readonly #keyPages: Column;
  readonly #tables: PageTables;

  constructor(machine: Machine, firstFree: number) {
    this.#machine = machine;
    this.#pages = new PageAllocator(machine, firstFree);
    this.#vmallocNext = machine.column(vmallocNextField);
    this.#keyPages = machine.column(keyPagesField);
    this.root = this.allocPage();
    this.#tables = new PageTables(machine, this.root, () => this.tryAllocPage());
    this.levels = this.#tables.levels;
  }

  /**
   * get_zeroed_page: see {@link PageAllocator.alloc}.
   *
   * @throws {KernelError} ENOMEM when all are in use.
   */
  allocPage(): number {
    return this.#pages.alloc();
  }

  /** The same for callers that return an errno: −1 when all are in use. */
  tryAllocPage(): number {
    return this.#pages.tryAlloc();
  }

  /** free_page */
  freePage(frame: number): void {
    this.#pages.free(frame);
  }

  /** __va: where a physical address lies in the direct map. */
  directAddress(physical: number): number {
    return PAGE_OFFSET + physical;
  }

  /**
   * Maps a physical range with the largest leaves that fit (1 GiB, 2 MiB, 4 KiB), its key in every leaf.
   *
   * @throws {KernelError} ENOMEM without a page for a table; nothing is mapped then.
   */
  map(address: number, physical: number, size: number, protection: Protection): void {
    if (!this.tryMap(address, physical, size, protection)) throw this.#pages.noMemory();
  }

  /**
   * The same for callers that must clean up: false without a page for a table, and nothing is mapped. A larger
   * leaf that is there already is split.
   */
  tryMap(address: number, physical: number, size: number, protection: Protection): boolean {
    for (let done = 0; done < size; ) {
      const va = address + done;
      const level = this.#largestLevel(va, physical + done, size - done);
      const slot = this.#tables.entryAddress(va, level);
      if (slot < 0) {
        this.unmap(address, done);
        return false;
      }
      const filled = this.#fill(slot, level, physical + done, size - done, protection);
      this.#countKey(protection.key, filled);
      done += filled;
    }
    return true;
  }

  /** The level of the largest leaf that starts at an address and fits. */
  #largestLevel(address: number, physical: number, size: number): number {
    const highest = this.#machine.features.gigabytePages ? 3 : 2;
    for (let level = highest; level > 1; level--) {
      const bytes = levelSize(level);
      if (address % bytes === 0 && physical % bytes === 0 && size >= bytes) return level;
    }
    return 1;
  }

  /** Writes leaves of a level, as many as the table still has room for, in one operation; gives their bytes. */
  #fill(slot: number, level: number, physical: number, size: number, prot: Protection): number {
    const flags = PAGE_KERNEL - (prot.writable ? 0 : PTE_RW) + (level > 1 ? PTE_PS : 0);
    const low = entryLow(physical, flags);
    const high = entryHigh(physical, prot.key, true);
    const step = levelSize(level);
    if (level === 3) {
      this.#machine.writeEntry(slot, low, high);
      return step;
    }
    const room = (4096 - (slot % 4096)) / 8;
    const count = Math.min(room, Math.floor(size / step));
    this.#machine.fillEntries(slot, count, low, high);
    return count * step;
  }

  /**
   * Gives a range that is mapped another key, in every leaf; large leaves that are only in part in the range are
   * split first, and no TLB keeps the old key.
   *
   * Use it where part of the direct map becomes somebody's domain, or stops to be.
   *
   * @returns false without a page for a table; no key is changed then
   * @example
   * const kernel = boot({ memory: 2 ** 26 });
   * const { mm } = kernel;
   * kernel.call(() => mm.setKey(mm.directAddress(2 ** 25 + 4096), 4096, 3)); // => true
   * mm.lookup(mm.directAddress(2 ** 25 + 4096)).key; // => 3
   * mm.lookup(mm.directAddress(2 ** 25)).key; // => 0
   */
  setKey(address: number, size: number, key: number): boolean {
    const tables = this.#tables;
    if (!tables.splitAt(address) || !tables.splitAt(address + size)) return false;
    for (let done = 0; done < size; ) {
      const leaf = tables.leafOf(address + done);
      if (leaf !== null) {
        tables.setKey(leaf, key);
        this.#countKey(entryKey(leaf.high), -leaf.size);
        this.#countKey(key, leaf.size);
      }
      done += leaf === null ? PAGE_SIZE : leaf.size;
    }
    tables.flushAll();
    return true;
  }

  /** Clears the leaves of a range and flushes them from every TLB. */
  unmap(address: number, size: number): void {
    for (let done = 0; done < size; ) {
      const leaf = this.#wholeLeafOf(address + done, size - done);
      if (leaf !== null) {
        this.#machine.writeEntry(leaf.at, 0, 0);
        this.#countKey(entryKey(leaf.high), -leaf.size);
        this.#machine.invlpg(address + done);
      }
      done += leaf === null ? PAGE_SIZE : leaf.size;
    }
    // flush_tlb_kernel_range
    this.#tables.flushAll();
  }

  /** The leaf at an address, none of which is outside the range; what is larger is split. */
  #wholeLeafOf(address: number, size: number): Leaf | null {
    const leaf = this.#tables.leafOf(address);
    if (leaf === null || (leaf.address === address && leaf.size <= size)) return leaf;
    if (!this.#tables.splitAt(address) || !this.#tables.splitAt(address + size)) {
      throw this.#pages.noMemory();
    }
    return this.#tables.leafOf(address);
  }

  #countKey(key: number, bytes: number): void {
    if (key !== 0) this.#keyPages.add(key, bytes / PAGE_SIZE);
  }

  /** Whether some mapping carries a key: who gives a key back asks (D-33). */
  isKeyMapped(key: number): boolean {
    return this.#keyPages.get(key) !== 0;
  }

  /** lookup_address: the leaf that maps an address, read level by level as kernel code does; null if there is none. */
  leafOf(address: number): Leaf | null {
    return this.#tables.leafOf(address);
  }

  /** Walks the tables from outside the machine, for reports and tools: no operation, changes nothing. */
  lookup(address: number): Walk {
    const walk = newWalk();
    const format = { ...WIDEST_FORMAT, levels: this.levels };
    walkPage(this.#machine.memory, this.root, Math.floor(address / PAGE_SIZE), walk, format);
    return walk;
  }

  /**
   * __vmalloc_node_range: zeroed pages of RAM at consecutive addresses; a guard page behind them.
   *
   * Use it for memory of one's own key: the direct map's alias of the pages keeps key 0 (D-56).
   *
   * @param size in bytes
   * @throws {KernelError} ENOMEM; nothing is kept then.
   */
  vmalloc(size: number, protection: Protection): number {
    const address = this.tryVmalloc(size, protection);
    if (address === 0) throw this.#pages.noMemory();
    return address;
  }

  /** The same for callers that return an errno: 0 (NULL) without memory. */
  tryVmalloc(size: number, protection: Protection): number {
    const pages = Math.ceil(size / PAGE_SIZE);
    const room = (pages + 1) * PAGE_SIZE;
    const address = this.#vmallocNext.add(0, room) - room;
    for (let done = 0; done < pages * PAGE_SIZE; done += PAGE_SIZE) {
      const frame = this.tryAllocPage();
      if (frame >= 0 && this.tryMap(address + done, frame, PAGE_SIZE, protection)) continue;
      if (frame >= 0) this.freePage(frame);
      this.vfree(address, done);
      return 0;
    }
    return address;
  }

  /**
   * vmap: a second address, with key 0, for a range that has one already; `unmap` takes it away.
   *
   * @throws {KernelError} ENOMEM without a page for a table.
   */
  vmap(physical: number, size: number): number {
    const room = size + PAGE_SIZE;
    const address = this.#vmallocNext.add(0, room) - room;
    this.map(address, physical, size, PAGE_KERNEL_PROT);
    return address;
  }

  /** vfree: the mapping goes first, then its pages. */
  vfree(address: number, size: number): void {
    const frames: number[] = [];
    for (let done = 0; done < size; done += PAGE_SIZE) {
      const leaf = this.#tables.leafOf(address + done);
      if (leaf !== null) frames.push(leaf.frame);
    }
    this.unmap(address, Math.ceil(size / PAGE_SIZE) * PAGE_SIZE);
    for (const frame of frames) this.freePage(frame);
  }
}
