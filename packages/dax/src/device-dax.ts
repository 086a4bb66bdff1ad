// SPDX-License-Identifier: MIT
// device-dax: a character device that maps memory and nothing else. drivers/dax/device.c
// [PATCH 16/17] [dax|pmem]: Enable stray write protection

import { EINVAL, type Kernel, KernelError } from '@pkslab/kernel';
import { MemoryType, memremap, type Pagemap, type Pagemaps } from '@pkslab/memremap';
import { LARGE_PAGE_SIZE, PAGE_SIZE } from '@pkslab/x86-cpu';
import { type Dax, dax } from './dax.ts';
import { DAXDEV_ALIVE, type DaxDevice } from './device.ts';

/** Bytes of the pages that a device-dax maps: 4 KiB, 2 MiB or 1 GiB. */
export const DEV_DAX_ALIGNMENTS: readonly number[] = Object.freeze([
  PAGE_SIZE,
  LARGE_PAGE_SIZE,
  LARGE_PAGE_SIZE * 512,
]);

export interface DevDaxRequest {
  readonly name: string;
  readonly physical: number;
  /** Bytes; a multiple of the alignment. */
  readonly size: number;
  /** Bytes of the pages that it maps; default 2 MiB. */
  readonly alignment?: number;
}

/** VM_FAULT_SIGBUS, VM_FAULT_FALLBACK: what a fault that maps nothing does to the program. */
export type DevDaxRefusal = 'sigbus' | 'fallback';

/** A device-dax: a view. */
export class DevDax {
  readonly device: DaxDevice;
  readonly pagemap: Pagemap;
  readonly physical: number;
  readonly size: number;
  readonly alignment: number;
  readonly #dax: Dax;

  constructor(request: Required<DevDaxRequest>, device: DaxDevice, pagemap: Pagemap, core: Dax) {
    this.device = device;
    this.pagemap = pagemap;
    this.physical = request.physical;
    this.size = request.size;
    this.alignment = request.alignment;
    this.#dax = core;
  }

  /** check_vma: 0, or −EINVAL for a mapping that is not made of whole pages of the device. */
  checkMapping(address: number, length: number): number {
    return address % this.alignment === 0 && length % this.alignment === 0 ? 0 : -EINVAL;
  }

  /**
   * dev_dax_huge_fault: the first pfn that a leaf of `size` bytes maps, or what happens to the program.
   *
   * @param offset byte of the device that the faulting leaf starts at
   */
  fault(offset: number, size: number): number | DevDaxRefusal {
    const id = this.#dax.readLock();
    const result = this.#leaf(offset, size);
    this.#dax.readUnlock(id);
    return result;
  }

  #leaf(offset: number, size: number): number | DevDaxRefusal {
    if (!this.device.flag(DAXDEV_ALIVE)) return 'sigbus';
    if (this.alignment > size) return 'sigbus';
    if (this.alignment < size) return 'fallback';
    const start = offset - (offset % size);
    if (start < 0 || start + size > this.size) return 'sigbus';
    return (this.physical + start) / PAGE_SIZE;
  }

  /** dev_dax_remove: kills the device, waits for faults under way, and unmaps. May sleep. */
  remove(pagemaps: Pagemaps): void {
    this.#dax.killDax(this.device);
    pagemaps.memunmapPages(this.pagemap);
    this.#dax.putDax(this.device);
  }
}

/**
 * dev_dax_probe: makes a device-dax of a physical range; protection is asked for before it is mapped.
 *
 * @throws {KernelError} EINVAL for an alignment or size that does not fit; what memremap_pages throws.
 */
export function devDaxProbe(kernel: Kernel, request: DevDaxRequest): DevDax {
  const { name, physical, size, alignment = LARGE_PAGE_SIZE } = request;
  if (
    !DEV_DAX_ALIGNMENTS.includes(alignment) ||
    size % alignment !== 0 ||
    physical % alignment !== 0
  ) {
    throw new KernelError(
      EINVAL,
      `${name}: alignment ${alignment}; give 4096, 2 MiB or 1 GiB, and a range that is a multiple of it`,
    );
  }
  const core = kernel.module(dax);
  const { pagemaps } = kernel.module(memremap);
  const type = MemoryType.devDax;
  const flags = pagemaps.protectionFlags;
  const pagemap = pagemaps.memremapPages({ physical, size, type, flags });
  // Nobody but its own faults reaches the memory of a device-dax.
  const operations = {
    directAccess: () => -EINVAL,
    copyFromIter: () => 0,
    copyToIter: () => 0,
    zeroPageRange: () => -EINVAL,
  };
  const device = core.allocDax({ name, operations });
  core.setPagemap(device, pagemap);
  return new DevDax({ name, physical, size, alignment }, device, pagemap, core);
}
