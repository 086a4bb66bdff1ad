// SPDX-License-Identifier: MIT
// CONFIG_HIGHMEM: pages beyond RAM have no address of their own. mm/highmem.c, arch/x86/mm/highmem_32.c

import { EINVAL, type Kernel, KernelError, PAGE_KERNEL_PROT, VMALLOC_START } from '@pkslab/kernel';
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
 * Its mappings have key 0, as kmap_prot has: an alias is not protected (D-56). What it is for is where patch 13
 * puts its hooks: after kmap_flush_tlb in kmap, before the test of PageHighMem in kunmap.
 */
export class HighmemKmap extends Kmap {
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
    const slots = LAST_PKMAP + machine.cpus.length * KM_TYPE_NR;
    const object = { initial: 0, per: 'object' } as const;
    this.#count = machine.column({ ...object, name: 'pkmap_count', type: 'u16', count: slots });
    this.#pages = machine.column({ ...object, name: 'pkmap_pfn', type: 'address', count: slots });
    this.#full = machine.column({ name: 'pkmap_full', type: 'bool', initial: 0, per: 'global' });
    const depth = { name: '__kmap_atomic_idx', type: 'u8', initial: 0, per: 'cpu' } as const;
    this.#atomicDepth = machine.column(depth);
    this.#ramPages = machine.memory.ramSize / PAGE_SIZE;
  }

  override kmap(pfn: number): number {
    this.kernel.oops.mightSleep();
    let address = this.kernel.mm.directAddress(pfn * PAGE_SIZE);
    if (this.#isHighmem(pfn)) address = this.#kmapHigh(pfn);
    // kmap_flush_tlb
    this.kernel.machine.invlpg(address);
    this.enableHere(pfn);
    return address;
  }

  override kunmap(pfn: number): void {
    this.kernel.oops.mightSleep();
    this.disableAccess(pfn);
    if (this.#isHighmem(pfn)) this.#kunmapHigh(pfn);
  }

  #isHighmem(pfn: number): boolean {
    return pfn >= this.#ramPages;
  }

  /** kmap_high */
  #kmapHigh(pfn: number): number {
    for (;;) {
      const slot = this.#take(pfn);
      if (slot >= 0) return addressOf(slot);
      this.kernel.sched.sleepUntil(this.#full, 0, 0);
    }
  }

  /** The page's address, or one that is free: 0 → 1 is one instruction, and only its winner maps. */
  #take(pfn: number): number {
    for (let slot = 0; slot < LAST_PKMAP; slot++) {
      if (this.#pages.get(slot) !== pfn + 1 || this.#count.get(slot) === 0) continue;
      this.#count.add(slot, 1);
      return slot;
    }
    for (let slot = 0; slot < LAST_PKMAP; slot++) {
      if (this.#count.compareExchange(slot, 0, 1) !== 0) continue;
      this.#install(slot, pfn);
      return slot;
    }
    this.#full.set(0, 1);
    return -1;
  }

  #install(slot: number, pfn: number): void {
    const { mm } = this.kernel;
    this.#pages.set(slot, pfn + 1);
    mm.map(addressOf(slot), pfn * PAGE_SIZE, PAGE_SIZE, PAGE_KERNEL_PROT);
  }

  /** kunmap_high: the address stays mapped for the next user's own map, which flushes it. */
  #kunmapHigh(pfn: number): void {
    for (let slot = 0; slot < LAST_PKMAP; slot++) {
      if (this.#pages.get(slot) !== pfn + 1 || this.#count.get(slot) === 0) continue;
      if (this.#count.add(slot, -1) === 0) this.#full.set(0, 0);
      return;
    }
  }

  /** kmap_atomic_high_prot */
  protected override atomicAddress(pfn: number): number {
    if (!this.#isHighmem(pfn)) return super.atomicAddress(pfn);
    const { machine } = this.kernel;
    const { index } = machine.cpu;
    const slot = LAST_PKMAP + index * KM_TYPE_NR + this.#atomicDepth.add(index, 1) - 1;
    this.#install(slot, pfn);
    machine.invlpg(addressOf(slot));
    return addressOf(slot);
  }

  /** kunmap_atomic_high */
  protected override endAtomic(address: number): void {
    const { machine } = this.kernel;
    if (address < FIX_KMAP_BEGIN || address >= VMALLOC_START) return;
    this.#atomicDepth.add(machine.cpu.index, -1);
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
