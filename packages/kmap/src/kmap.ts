// SPDX-License-Identifier: MIT
// kmap, kunmap, kmap_atomic, kunmap_atomic on 64-bit. [PATCH 13/17] kmap: Add stray write protection for
// device pages, include/linux/highmem.h

import { type Kernel, type KernelModule, PAGE_OFFSET } from '@pkslab/kernel';
import { type DevAccess, memremap, type Pagemaps } from '@pkslab/memremap';
import { PAGE_SIZE } from '@pkslab/x86-cpu';
import { kmapChoices } from './choices.ts';
import { MapOwners } from './map-owners.ts';

/**
 * Short-term mappings of pages, which are named by their pfn (physical address / 4096).
 *
 * Get it with `kernel.module(kmap)`. [PATCH 13/17] kmap: Add stray write protection for device pages
 */
export class Kmap {
  private readonly kernel: Kernel;
  /** Null where kmap enables nothing. */
  private readonly pagemaps: Pagemaps | null;
  private readonly access: DevAccess;
  private readonly owners: MapOwners | null;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    const { pagemaps, access } = kernel.module(memremap);
    this.pagemaps = kernel.choice('kmapHook') === 'on' ? pagemaps : null;
    this.access = access;
    this.owners = kernel.choice('kmapPolicy') === 'local' ? new MapOwners(kernel) : null;
  }

  /**
   * kmap: the page's address, usable until {@link kunmap}, by the task that mapped it. May sleep. Nests.
   *
   * Use it around each touch of a page that may be device memory.
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
    this.enableAccess(pfn);
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
    this.enableAccess(pfn);
    return PAGE_OFFSET + pfn * PAGE_SIZE;
  }

  /** kunmap_atomic: takes the address, as the macro does. */
  kunmapAtomic(address: number): void {
    const { preempt, tasks } = this.kernel;
    this.disableAccess(Math.floor((address - PAGE_OFFSET) / PAGE_SIZE));
    tasks.pagefaultDisabled.add(tasks.current, -1);
    preempt.enable();
  }

  /** enable_access */
  private enableAccess(pfn: number): void {
    if (this.pagemaps === null || !this.pagemaps.pageIsAccessProtected(pfn)) return;
    this.owners?.push(pfn);
    this.access.enable();
  }

  /** disable_access */
  private disableAccess(pfn: number): void {
    if (this.pagemaps === null || !this.pagemaps.pageIsAccessProtected(pfn)) return;
    // A surplus kunmap has no map to forget.
    if (this.access.disable()) this.owners?.pop();
  }
}

/**
 * kmap as a boot module; needs memremap.
 *
 * @example
 * const kernel = boot({ modules: [pksCore, memremap, kmap] });
 * kernel.choice('kmapPolicy'); // => 'local'
 */
export const kmap: KernelModule<Kmap> = {
  name: 'kmap',
  ...kmapChoices,
  symbols: {
    'Kmap.kmapAtomic': 'kmap_atomic',
    'Kmap.kunmapAtomic': 'kunmap_atomic',
    'Kmap.disableAccess': 'disable_access',
    'Kmap.enableAccess': 'enable_access',
  },
  create: (kernel) => new Kmap(kernel),
};
