// SPDX-License-Identifier: MIT
// The kernel's page tables: direct map and vmalloc area. arch/x86/mm/init_64.c, mm/vmalloc.c

import {
  type Column,
  entryFrame,
  entryHigh,
  entryLow,
  type FieldDefinition,
  LARGE_PAGE_SIZE,
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
  walkPage,
} from '@pkslab/x86-cpu';
import { ENOMEM } from './errno.ts';
import { KernelError } from './kernel-error.ts';

/** PAGE_OFFSET: where the direct map starts (0xffff888000000000). */
export const PAGE_OFFSET = -0x7780_0000_0000;
/** VMALLOC_START (0xffffc90000000000). */
export const VMALLOC_START = -0x3700_0000_0000;

const TABLE_FLAGS = PTE_P | PTE_RW | PTE_A;
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

/** A leaf of the page tables: where its entry lies, and what it maps. */
interface Leaf {
  readonly at: number;
  readonly frame: number;
  readonly size: number;
}

/** The kernel's own page tables, one for all CPUs, and the pages of RAM that are handed out. */
export class KernelMappings {
  /** Physical address of the top table, for CR3. */
  readonly root: number;
  readonly #machine: Machine;
  readonly #firstFree: number;
  /** A bit a page of RAM: handed out or not. */
  readonly #allocated: Column;
  readonly #vmallocNext: Column;
  readonly #pickFrame: number;

  constructor(machine: Machine, firstFree: number) {
    this.#machine = machine;
    this.#firstFree = firstFree;
    this.#allocated = machine.column({
      name: 'mem_map.allocated',
      type: 'u32',
      initial: 0,
      per: 'object',
      count: Math.ceil(machine.memory.ramSize / PAGE_SIZE / 32),
    });
    this.#vmallocNext = machine.column(vmallocNextField);
    this.#pickFrame = machine.choosers.length;
    machine.choosers.push({
      alternatives: () => [this.#lowestFree()],
      take: (frame) => this.#takeFrame(frame),
    });
    this.root = this.allocPage();
  }

  /**
   * get_zeroed_page: physical address of a zeroed page of RAM, lowest free first. One step.
   *
   * @throws {KernelError} ENOMEM when all are in use.
   */
  allocPage(): number {
    const frame = this.tryAllocPage();
    if (frame < 0) throw this.#noMemory();
    return frame;
  }

  /** The same for callers that return an errno: −1 when all are in use. */
  tryAllocPage(): number {
    return this.#machine.choose(this.#pickFrame);
  }

  #noMemory(): KernelError {
    const { ramSize } = this.#machine.memory;
    return new KernelError(ENOMEM, `out of ${ramSize} bytes of RAM: boot with more memory`);
  }

  /** free_page */
  freePage(frame: number): void {
    const page = frame / PAGE_SIZE;
    this.#allocated.testAndClearBit(Math.floor(page / 32), page % 32);
  }

  #lowestFree(): number {
    const { values } = this.#allocated;
    const pages = Math.floor(this.#machine.memory.ramSize / PAGE_SIZE);
    for (let page = this.#firstFree / PAGE_SIZE; page < pages; page++) {
      if ((((values[Math.floor(page / 32)] as number) >>> (page % 32)) & 1) === 0) {
        return page * PAGE_SIZE;
      }
    }
    return -1;
  }

  #takeFrame(frame: number): void {
    if (frame < 0) return;
    const page = frame / PAGE_SIZE;
    const word = Math.floor(page / 32);
    const old = this.#allocated.values[word] as number;
    this.#allocated.poke(word, (old | (1 << (page % 32))) >>> 0);
    const chunk = this.#machine.memory.chunkAt(frame);
    const offset = frame % LARGE_PAGE_SIZE;
    this.#machine.journal?.bytes(chunk, offset, PAGE_SIZE);
    chunk.bytes.fill(0, offset, offset + PAGE_SIZE);
  }

  /** __va: where a physical address lies in the direct map. */
  directAddress(physical: number): number {
    return PAGE_OFFSET + physical;
  }

  /**
   * Maps a physical range with the largest leaves that fit, its key in every leaf.
   *
   * @throws {KernelError} ENOMEM without a page for a table; nothing is mapped then.
   */
  map(address: number, physical: number, size: number, protection: Protection): void {
    if (!this.tryMap(address, physical, size, protection)) throw this.#noMemory();
  }

  /** The same for callers that must clean up: false without a page for a table, and nothing is mapped. */
  tryMap(address: number, physical: number, size: number, protection: Protection): boolean {
    for (let done = 0; done < size; ) {
      const va = address + done;
      const large =
        va % LARGE_PAGE_SIZE === 0 &&
        (physical + done) % LARGE_PAGE_SIZE === 0 &&
        size - done >= LARGE_PAGE_SIZE;
      const level = large ? 2 : 1;
      const step = large ? LARGE_PAGE_SIZE : PAGE_SIZE;
      const slot = this.#entryAddress(va, level);
      if (slot < 0) {
        this.unmap(address, done);
        return false;
      }
      // As many leaves as the table still has room for, in one operation.
      const room = (4096 - (slot % 4096)) / 8;
      const count = Math.min(room, Math.floor((size - done) / step));
      const flags = PAGE_KERNEL - (protection.writable ? 0 : PTE_RW) + (large ? PTE_PS : 0);
      const low = entryLow(physical + done, flags);
      const high = entryHigh(physical + done, protection.key, true);
      this.#machine.fillEntries(slot, count, low, high);
      done += count * step;
    }
    return true;
  }

  /** Clears the leaves of a range and flushes them from every TLB. */
  unmap(address: number, size: number): void {
    for (let done = 0; done < size; ) {
      const leaf = this.#leafOf(address + done);
      if (leaf !== null) {
        this.#machine.writeEntry(leaf.at, 0, 0);
        this.#machine.invlpg(address + done);
      }
      done += leaf === null ? PAGE_SIZE : leaf.size;
    }
    // flush_tlb_kernel_range: an IPI to each CPU, which answers at once here.
    for (const cpu of this.#machine.cpus) this.#machine.flushTlb(true, cpu.index);
  }

  /** Walks the tables from outside the machine, for reports and tools: no operation, changes nothing. */
  lookup(address: number): Walk {
    const walk = newWalk();
    walkPage(this.#machine.memory, this.root, Math.floor(address / PAGE_SIZE), walk);
    return walk;
  }

  /** lookup_address: the leaf that maps an address, read level by level; null if there is none. */
  #leafOf(address: number): Leaf | null {
    const page = Math.floor(address / PAGE_SIZE);
    let table = this.root;
    for (let level = 4; level > 0; level--) {
      const at = table + (Math.floor(page / 2 ** ((level - 1) * 9)) & 0x1ff) * 8;
      const low = this.#machine.readEntry(at);
      if ((low & PTE_P) === 0) return null;
      table = entryFrame(low, this.#machine.resultHigh);
      const size = PAGE_SIZE * 2 ** ((level - 1) * 9);
      if (level === 1 || (low & PTE_PS) !== 0) return { at, frame: table, size };
    }
    return null;
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
    if (address === 0) throw this.#noMemory();
    return address;
  }

  /** The same for callers that return an errno: 0 (NULL) without memory. */
  tryVmalloc(size: number, protection: Protection): number {
    const pages = Math.ceil(size / PAGE_SIZE);
    const room = (pages + 1) * PAGE_SIZE;
    const address = this.#vmallocNext.add(0, room) - room;
    for (let done = 0; done < pages * PAGE_SIZE; done += PAGE_SIZE) {
      const frame = this.#machine.choose(this.#pickFrame);
      if (frame >= 0 && this.tryMap(address + done, frame, PAGE_SIZE, protection)) continue;
      if (frame >= 0) this.freePage(frame);
      this.vfree(address, done);
      return 0;
    }
    return address;
  }

  /** vfree: the mapping goes first, then its pages. */
  vfree(address: number, size: number): void {
    const frames: number[] = [];
    for (let done = 0; done < size; done += PAGE_SIZE) {
      const leaf = this.#leafOf(address + done);
      if (leaf !== null) frames.push(leaf.frame);
    }
    this.unmap(address, Math.ceil(size / PAGE_SIZE) * PAGE_SIZE);
    for (const frame of frames) this.freePage(frame);
  }

  /** Physical address of the entry of `level` for a virtual address; tables on the way are made. −1: no page. */
  #entryAddress(address: number, level: number): number {
    const page = Math.floor(address / PAGE_SIZE);
    let table = this.root;
    for (let at = 4; at > level; at--) {
      const slot = table + (Math.floor(page / 2 ** ((at - 1) * 9)) & 0x1ff) * 8;
      const low = this.#machine.readEntry(slot);
      if ((low & PTE_P) !== 0) {
        table = entryFrame(low, this.#machine.resultHigh);
        continue;
      }
      const next = this.#machine.choose(this.#pickFrame);
      if (next < 0) return -1;
      this.#machine.writeEntry(slot, entryLow(next, TABLE_FLAGS), entryHigh(next, 0, false));
      table = next;
    }
    return table + (Math.floor(page / 2 ** ((level - 1) * 9)) & 0x1ff) * 8;
  }
}
