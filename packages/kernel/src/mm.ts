// SPDX-License-Identifier: MIT
// The kernel's page tables: direct map and vmalloc area. arch/x86/mm/init_64.c, mm/vmalloc.c

import {
  entryFrame,
  entryHigh,
  entryLow,
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

export class KernelMappings {
  /** Physical address of the top table, for CR3. */
  readonly root: number;
  readonly #machine: Machine;
  #nextFree: number;
  #vmallocNext = VMALLOC_START;
  readonly #freeFrames: number[] = [];

  constructor(machine: Machine, firstFree: number) {
    this.#machine = machine;
    this.#nextFree = firstFree;
    this.root = this.allocPage();
  }

  /** __get_free_page: physical address of a zeroed page of RAM, lowest free first. */
  allocPage(): number {
    const frame = this.#freeFrames.pop() ?? this.#nextFree;
    if (frame === this.#nextFree) this.#nextFree += PAGE_SIZE;
    if (frame + PAGE_SIZE > this.#machine.memory.ramSize) {
      throw new KernelError(
        ENOMEM,
        `out of ${this.#machine.memory.ramSize} bytes of RAM: boot with more memory`,
      );
    }
    const chunk = this.#machine.memory.chunkAt(frame);
    const offset = frame % LARGE_PAGE_SIZE;
    chunk.bytes.fill(0, offset, offset + PAGE_SIZE);
    return frame;
  }

  freePage(frame: number): void {
    this.#freeFrames.push(frame);
    this.#freeFrames.sort((a, b) => b - a);
  }

  /** __va */
  directAddress(physical: number): number {
    return PAGE_OFFSET + physical;
  }

  /** Maps a physical range with the largest leaves that fit, its key in every leaf. */
  map(address: number, physical: number, size: number, protection: Protection): void {
    for (let done = 0; done < size; ) {
      const va = address + done;
      const large =
        va % LARGE_PAGE_SIZE === 0 &&
        (physical + done) % LARGE_PAGE_SIZE === 0 &&
        size - done >= LARGE_PAGE_SIZE;
      const level = large ? 2 : 1;
      const step = large ? LARGE_PAGE_SIZE : PAGE_SIZE;
      const slot = this.#entryAddress(va, level);
      // As many leaves as the table still has room for, in one operation.
      const room = (4096 - (slot % 4096)) / 8;
      const count = Math.min(room, Math.floor((size - done) / step));
      const flags = PAGE_KERNEL - (protection.writable ? 0 : PTE_RW) + (large ? PTE_PS : 0);
      const low = entryLow(physical + done, flags);
      const high = entryHigh(physical + done, protection.key, true);
      this.#machine.fillEntries(slot, count, low, high);
      done += count * step;
    }
  }

  /** Clears the leaves of a range and flushes them from every TLB. */
  unmap(address: number, size: number): void {
    const walk = newWalk();
    for (let done = 0; done < size; ) {
      walkPage(this.#machine.memory, this.root, Math.floor((address + done) / PAGE_SIZE), walk);
      if (walk.present) {
        this.#machine.writeEntry(walk.entries[walk.depth - 1] as number, 0, 0);
        this.#machine.invlpg(address + done);
      }
      done += walk.present && walk.level === 2 ? LARGE_PAGE_SIZE : PAGE_SIZE;
    }
    // flush_tlb_kernel_range on the other CPUs
    for (const cpu of this.#machine.cpus) cpu.tlb.flush(true);
  }

  /** Maps the page that `address` lies in again with another key (set_memory_pkey). */
  lookup(address: number): Walk {
    const walk = newWalk();
    walkPage(this.#machine.memory, this.root, Math.floor(address / PAGE_SIZE), walk);
    return walk;
  }

  /** __vmalloc_node_range: fresh pages of RAM at consecutive addresses; a guard page behind them. */
  vmalloc(size: number, protection: Protection): number {
    const address = this.#vmallocNext;
    const pages = Math.ceil(size / PAGE_SIZE);
    this.#vmallocNext += (pages + 1) * PAGE_SIZE;
    for (let i = 0; i < pages; i++) {
      this.map(address + i * PAGE_SIZE, this.allocPage(), PAGE_SIZE, protection);
    }
    return address;
  }

  vfree(address: number, size: number): void {
    for (let done = 0; done < size; done += PAGE_SIZE) {
      const walk = this.lookup(address + done);
      if (walk.present) this.freePage(walk.frame);
    }
    this.unmap(address, Math.ceil(size / PAGE_SIZE) * PAGE_SIZE);
  }

  /** Physical address of the entry of `level` for a virtual address; tables on the way are made. */
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
      const next = this.allocPage();
      this.#machine.writeEntry(slot, entryLow(next, TABLE_FLAGS), entryHigh(next, 0, false));
      table = next;
    }
    return table + (Math.floor(page / 2 ** ((level - 1) * 9)) & 0x1ff) * 8;
  }
}
