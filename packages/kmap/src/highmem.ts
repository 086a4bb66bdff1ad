// SPDX-License-Identifier: MIT
// CONFIG_HIGHMEM: pages beyond RAM have no address of their own. mm/highmem.c, arch/x86/mm/highmem_32.c

import {
  EINVAL,
  type Kernel,
  KernelError,
  PAGE_KERNEL_PROT,
  type SpinLock,
  VMALLOC_START,
} from '@pkslab/kernel';
import { type Column, PAGE_SIZE } from '@pkslab/x86-cpu';
import { Kmap } from './kmap.ts';

/** LAST_PKMAP: addresses that kmap hands out; as few as make callers wait. */
export const LAST_PKMAP = 4;
/** KM_TYPE_NR: addresses that kmap_atomic hands out on each CPU. */
export const KM_TYPE_NR = 4;

/** PKMAP_BASE, in a hole below the vmalloc area. */
export const PKMAP_BASE: number = VMALLOC_START - 0x40_0000;
const FIX_KMAP_BEGIN = VMALLOC_START - 0x20_0000;

/**
 * The variant with HIGHMEM, which no 64-bit kernel has: kmap of a page beyond RAM gives one of a few addresses, and sleeps while all are
 * taken.
 *
 * An address whose last user is gone stays mapped; before another page gets it, no CPU has the old translation.
 * Its mappings have key 0, as kmap_prot has: an alias is not protected (D-56). What it is for is where patch 13
 * puts its hooks: after kmap_flush_tlb in kmap, before the test of PageHighMem in kunmap.
 *
 * @example
 * const kernel = boot({ config: { HIGHMEM: true }, modules: [pksCore, memremap, kmap] });
 * kernel.module(kmap) instanceof HighmemKmap; // => true
 */
export class HighmemKmap extends Kmap {
  /** kmap_lock: users and pages of the addresses, and whether there is one left. */
  readonly #lock: SpinLock;
  /** pkmap_count: 0 free, else users of the address. */
  readonly #count: Column;
  /** pfn plus 1 of each address of both kinds. */
  readonly #pages: Column;
  /** 1 while all addresses are taken: what pkmap_map_wait waits on. */
  readonly #full: Column;
  /** __kmap_atomic_idx */
  readonly #atomicDepth: Column;
  readonly #ramPages: number;

  constructor(kernel: Kernel) {
    super(kernel);
    const { machine } = kernel;
    const policy = kernel.choice('kmapPolicy');
    if (policy !== 'grant' && policy !== 'local') {
      throw new KernelError(
        EINVAL,
        `config HIGHMEM is for kmapPolicy grant or local, not ${policy}: leave it out, or choose one`,
      );
    }
    this.#lock = kernel.spinLock('kmap_lock');
    const slots = LAST_PKMAP + machine.cpus.length * KM_TYPE_NR;
    const object = { initial: 0, per: 'object' } as const;
    this.#count = machine.column({ ...object, name: 'pkmap_count', type: 'u16', count: slots });
    this.#pages = machine.column({ ...object, name: 'pkmap_pfn', type: 'address', count: slots });
    this.#full = machine.column({ name: 'pkmap_full', type: 'bool', initial: 0, per: 'global' });
    const depth = { name: '__kmap_atomic_idx', type: 'u8', initial: 0, per: 'cpu' } as const;
    this.#atomicDepth = machine.column(depth);
    this.#ramPages = machine.memory.ramSize / PAGE_SIZE;
    // permanent_kmaps_init, kmap_init: the tables are there before anybody is in a hurry.
    kernel.initcall('subsys', () => {
      for (const address of [PKMAP_BASE, FIX_KMAP_BEGIN]) {
        kernel.mm.map(address, 0, PAGE_SIZE, PAGE_KERNEL_PROT);
        kernel.mm.unmap(address, PAGE_SIZE);
      }
    });
  }

  override kmap(pfn: number): number {
    this.mightSleep();
    let address = this.kernel.mm.directAddress(pfn * PAGE_SIZE);
    if (this.#isHighmem(pfn)) address = this.#kmapHigh(pfn);
    // kmap_flush_tlb
    this.kernel.machine.invlpg(address);
    this.enableHere(pfn);
    return address;
  }

  override kunmap(pfn: number): void {
    this.mightSleep();
    this.disableAccess(pfn);
    if (this.#isHighmem(pfn)) this.#kunmapHigh(pfn);
  }

  #isHighmem(pfn: number): boolean {
    return pfn >= this.#ramPages;
  }

  /** kmap_high */
  #kmapHigh(pfn: number): number {
    for (;;) {
      this.#lock.lock();
      const slot = this.#take(pfn);
      if (slot < 0) this.#full.set(0, 1);
      this.#lock.unlock();
      if (slot >= 0) return addressOf(slot);
      this.kernel.sched.sleepUntil(this.#full, 0, 0);
    }
  }

  /** The page's address, or one without users; −1 where there is none. Under the lock. */
  #take(pfn: number): number {
    let slot = this.#slotOf(pfn);
    if (slot < 0) {
      slot = this.#freeSlot();
      if (slot < 0) return -1;
      // flush_all_zero_pkmaps, of this address alone
      if (this.#pages.get(slot) !== 0) this.kernel.mm.unmap(addressOf(slot), PAGE_SIZE);
      this.#install(slot, pfn);
    }
    this.#count.set(slot, this.#count.get(slot) + 1);
    return slot;
  }

  /** page_address: the slot that a page is mapped in, with users or without; −1. */
  #slotOf(pfn: number): number {
    let slot = LAST_PKMAP - 1;
    while (slot >= 0 && this.#pages.get(slot) !== pfn + 1) slot--;
    return slot;
  }

  #freeSlot(): number {
    for (let slot = 0; slot < LAST_PKMAP; slot++) if (this.#count.get(slot) === 0) return slot;
    return -1;
  }

  #install(slot: number, pfn: number): void {
    this.#pages.set(slot, pfn + 1);
    this.kernel.mm.map(addressOf(slot), pfn * PAGE_SIZE, PAGE_SIZE, PAGE_KERNEL_PROT);
  }

  /** kunmap_high */
  #kunmapHigh(pfn: number): void {
    this.#lock.lock();
    const slot = this.#slotOf(pfn);
    const users = slot < 0 ? 0 : this.#count.get(slot);
    if (users > 0) this.#count.set(slot, users - 1);
    if (users === 1) this.#full.set(0, 0);
    this.#lock.unlock();
  }

  /** kmap_atomic_high_prot */
  protected override atomicAddress(pfn: number): number {
    if (!this.#isHighmem(pfn)) return super.atomicAddress(pfn);
    const { machine, cpus, oops } = this.kernel;
    const cpu = cpus.own;
    const depth = this.#atomicDepth.add(cpu, 1);
    // The task would die here, and no interrupt could go on; the machine stops instead.
    if (depth > KM_TYPE_NR) oops.panic('kernel BUG in kmap_atomic: idx >= KM_TYPE_NR');
    const slot = LAST_PKMAP + cpu * KM_TYPE_NR + depth - 1;
    this.#install(slot, pfn);
    machine.invlpg(addressOf(slot));
    return addressOf(slot);
  }

  /** kunmap_atomic_high */
  protected override endAtomic(address: number): void {
    const { machine, cpus } = this.kernel;
    if (address < FIX_KMAP_BEGIN || address >= VMALLOC_START) return;
    this.#atomicDepth.add(cpus.own, -1);
    machine.invlpg(address);
  }

  protected override pageOf(address: number): number {
    if (address >= FIX_KMAP_BEGIN && address < VMALLOC_START) {
      return this.#pages.get(LAST_PKMAP + (address - FIX_KMAP_BEGIN) / PAGE_SIZE) - 1;
    }
    return super.pageOf(address);
  }
}

function addressOf(slot: number): number {
  return slot < LAST_PKMAP
    ? PKMAP_BASE + slot * PAGE_SIZE
    : FIX_KMAP_BEGIN + (slot - LAST_PKMAP) * PAGE_SIZE;
}
