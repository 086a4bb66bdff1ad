// SPDX-License-Identifier: MIT
// kmap, kunmap, kmap_atomic, kmap_local_page on 64-bit. [PATCH 13/17] kmap: Add stray write protection for
// device pages, include/linux/highmem.h

import { EOPNOTSUPP, type Kernel, KernelError, PAGE_OFFSET } from '@pkslab/kernel';
import { type DevAccess, memremap, type Pagemaps } from '@pkslab/memremap';
import { PAGE_SIZE, PerCpu } from '@pkslab/x86-cpu';
import { MapOwners, Popped } from './map-owners.ts';

/** Context of a map by {@link Kmap.kmap}, which may sleep. */
const TASK_CONTEXT = 0;

/**
 * Short-term mappings of pages, which are named by their pfn (physical address / 4096).
 *
 * Get it with `kernel.module(kmap)`. [PATCH 13/17] kmap: Add stray write protection for device pages
 */
export class Kmap {
  protected readonly kernel: Kernel;
  /** Null where kmap enables nothing. */
  protected readonly pagemaps: Pagemaps | null;
  protected readonly access: DevAccess;
  private readonly owners: MapOwners | null;
  private readonly sleepChecked: boolean;
  private readonly hasLocal: boolean;
  private readonly preemptCount: PerCpu;
  private readonly interruptFlag: PerCpu;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    const { pagemaps, access } = kernel.module(memremap);
    this.pagemaps = kernel.choice('kmapHook') === 'on' ? pagemaps : null;
    this.access = access;
    this.owners = kernel.choice('kmapPolicy') === 'local' ? new MapOwners(kernel) : null;
    this.sleepChecked = kernel.choice('kmapMightSleep') === 'checked';
    this.preemptCount = kernel.preempt.count;
    this.interruptFlag = new PerCpu(kernel.machine.registers.interruptFlag);
    this.hasLocal = kernel.choice('kmapVariant') === 'local';
  }

  /**
   * kmap: the page's address, usable until {@link kunmap}, by the task that mapped it. May sleep. Nests.
   *
   * Use it around each touch of a page that may be device memory. Under `v7` and `v10` it gives no access to
   * protected pages: use {@link kmapLocalPage} there.
   *
   * @example
   * const kernel = boot({ modules: [pksCore, memremap, kmap] });
   * const base = 0x1_0000_0000;
   * kernel.machine.memory.addRegion(base, 4096, { read() {}, write() {} });
   * const request = { physical: base, size: 4096, type: MemoryType.fsDax, flags: PGMAP_PROT_ENABLED };
   * kernel.call(() => kernel.module(memremap).pagemaps.memremapPages(request));
   * const maps = kernel.module(kmap);
   * const address = kernel.call(() => maps.kmap(base / 4096));
   * kernel.call(() => kernel.machine.tryStore32(address, 1)); // => false
   * kernel.call(() => maps.kunmap(base / 4096));
   * kernel.call(() => kernel.machine.tryStore32(address, 1)); // => true: refused again
   */
  kmap(pfn: number): number {
    this.mightSleep();
    this.enableAccess(pfn, TASK_CONTEXT);
    return PAGE_OFFSET + pfn * PAGE_SIZE;
  }

  /** kunmap: ends a {@link kmap} of the page. One too many is refused with a WARN, or wraps the count. */
  kunmap(pfn: number): void {
    this.disableAccess(pfn);
  }

  /**
   * kmap_atomic: preemption and page faults are off until {@link kunmapAtomic}. Any context.
   *
   * Use it where the caller cannot sleep; what runs until `kunmapAtomic` must not sleep either.
   */
  kmapAtomic(pfn: number): number {
    const { preempt, tasks } = this.kernel;
    preempt.disable();
    tasks.pagefaultDisabled.add(tasks.current, 1);
    this.enableHere(pfn);
    return this.atomicAddress(pfn);
  }

  /** kunmap_atomic: takes the address, as the macro does. */
  kunmapAtomic(address: number): void {
    const { preempt, tasks } = this.kernel;
    this.disableAccess(this.pageOf(address));
    this.endAtomic(address);
    tasks.pagefaultDisabled.add(tasks.current, -1);
    preempt.enable();
  }

  /**
   * kmap_local_page: the page's address, for the context that mapped it and nobody else. Any context; the
   * caller may be preempted and may migrate. Maps end in reverse order.
   *
   * Use it in new code in place of kmap and kmap_atomic. V7 on, and `reference`
   *
   * @throws {KernelError} EOPNOTSUPP in a revision that is older than Linux 5.11.
   * @example
   * const kernel = boot({ modules: [pksCore, memremap, kmap] });
   * const maps = kernel.module(kmap);
   * const address = kernel.call(() => maps.kmapLocalPage(0x1000));
   * kernel.call(() => maps.kunmapLocal(address));
   */
  kmapLocalPage(pfn: number): number {
    this.#checkLocal('kmap_local_page');
    this.enableHere(pfn);
    return PAGE_OFFSET + pfn * PAGE_SIZE;
  }

  /** kunmap_local: takes the address. Out of order it is reported under `reference`. */
  kunmapLocal(address: number): void {
    this.#checkLocal('kunmap_local');
    const pfn = this.pageOf(address);
    if (this.disableAccess(pfn) !== Popped.outOfOrder) return;
    this.kernel.oops.warn(`kmap: kunmap_local of pfn 0x${pfn.toString(16)} out of order`);
  }

  /** kmap_thread: {@link kmap} for the calling task alone. RFC PKS/PMEM, and no other revision */
  kmapThread(_pfn: number): number {
    throw this.#absent('kmap_thread');
  }

  /** kunmap_thread: ends a {@link kmapThread} of the page. */
  kunmapThread(_pfn: number): void {
    throw this.#absent('kunmap_thread');
  }

  #checkLocal(name: string): void {
    if (!this.hasLocal) throw this.#absent(name);
  }

  #absent(name: string): KernelError {
    return new KernelError(EOPNOTSUPP, `${name}: revision ${this.kernel.revision} has none`);
  }

  /** might_sleep, where the choice has it; it looks for itself, since kmap is called often. */
  protected mightSleep(): void {
    if (!this.sleepChecked) return;
    const atomic = this.preemptCount.read() !== 0 || this.interruptFlag.read() === 0;
    if (atomic) this.kernel.oops.mightSleep();
  }

  /** enable_access, in a context that is looked up only where it is kept. */
  protected enableHere(pfn: number): void {
    this.enableAccess(pfn, this.owners === null ? TASK_CONTEXT : this.owners.context());
  }

  /** enable_access */
  protected enableAccess(pfn: number, context: number): void {
    if (this.pagemaps === null || !this.pagemaps.pageIsAccessProtected(pfn)) return;
    this.owners?.push(pfn, context);
    this.access.enable();
  }

  /** disable_access; what is known of the map that ends. */
  protected disableAccess(pfn: number): Popped {
    if (this.pagemaps === null || !this.pagemaps.pageIsAccessProtected(pfn)) return Popped.last;
    // A surplus kunmap has no map to forget.
    if (!this.access.disable() || this.owners === null) return Popped.last;
    const popped = this.owners.pop(pfn);
    if (popped === Popped.notMapped) {
      this.kernel.oops.warn(`kmap: kunmap of pfn 0x${pfn.toString(16)}, which is not mapped here`);
    }
    return popped;
  }

  /** kmap_to_page */
  protected pageOf(address: number): number {
    return Math.floor((address - PAGE_OFFSET) / PAGE_SIZE);
  }

  protected atomicAddress(pfn: number): number {
    return PAGE_OFFSET + pfn * PAGE_SIZE;
  }

  /** kunmap_atomic_high: nothing where every page has an address of its own. */
  protected endAtomic(_address: number): void {}
}
