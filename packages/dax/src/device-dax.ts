// SPDX-License-Identifier: MIT
// device-dax: a character device that maps memory and nothing else. drivers/dax/device.c
// [PATCH 16/17] [dax|pmem]: Enable stray write protection

import { EINVAL, type Kernel, KernelError } from '@pkslab/kernel';
import { type Devres, MemoryType, memremap, type Pagemap } from '@pkslab/memremap';
import { LARGE_PAGE_SIZE, PAGE_SIZE } from '@pkslab/x86-cpu';
import { type Dax, dax } from './dax.ts';
import { DAXDEV_ALIVE, type DaxDevice, type DaxOperations } from './device.ts';

/** Bytes of the pages that a device-dax maps: 4 KiB, 2 MiB or 1 GiB. */
export const DEV_DAX_ALIGNMENTS: readonly number[] = Object.freeze([
  PAGE_SIZE,
  LARGE_PAGE_SIZE,
  LARGE_PAGE_SIZE * 512,
]);

export interface DevDaxRequest {
  readonly name: string;
  /** Number of its device, under which {@link Devres} has what it holds. */
  readonly device: number;
  readonly physical: number;
  /** Bytes; a multiple of the alignment. */
  readonly size: number;
  /** Bytes of the pages that it maps; default 2 MiB. */
  readonly alignment?: number;
}

/** VM_FAULT_SIGBUS, VM_FAULT_FALLBACK: what a fault that maps nothing does to the program. */
export type DevDaxRefusal = 'sigbus' | 'fallback';

/** What a device-dax is made of. */
interface DevDaxParts {
  readonly device: DaxDevice;
  readonly pagemap: Pagemap;
  readonly core: Dax;
  readonly devres: Devres;
}

/** A device-dax: a view. */
export class DevDax {
  readonly device: DaxDevice;
  readonly pagemap: Pagemap;
  readonly physical: number;
  readonly size: number;
  readonly alignment: number;
  readonly #dax: Dax;
  readonly #release: () => void;

  constructor(request: Required<DevDaxRequest>, { device, pagemap, core, devres }: DevDaxParts) {
    this.device = device;
    this.pagemap = pagemap;
    this.physical = request.physical;
    this.size = request.size;
    this.alignment = request.alignment;
    this.#dax = core;
    this.#release = () => devres.releaseAll(request.device);
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
  remove(): void {
    this.#release();
  }
}

/**
 * dev_dax_probe: makes a device-dax of a physical range; protection is asked for before it is mapped.
 *
 * What the device holds, this probe's and what its parent put under its number, is released where a step fails.
 *
 * @throws {KernelError} EINVAL for an alignment or size that does not fit; ENOSPC where all dax devices are in use;
 * what memremap_pages throws.
 */
export function devDaxProbe(kernel: Kernel, request: DevDaxRequest): DevDax {
  const result = probe(kernel, { alignment: LARGE_PAGE_SIZE, ...request });
  if (!(result instanceof KernelError)) return result;
  kernel.module(memremap).devres.releaseAll(request.device);
  throw result;
}

function probe(kernel: Kernel, request: Required<DevDaxRequest>): DevDax | KernelError {
  const { name, physical, size, alignment } = request;
  const fits = size % alignment === 0 && physical % alignment === 0;
  if (!DEV_DAX_ALIGNMENTS.includes(alignment) || !fits) {
    return new KernelError(
      EINVAL,
      `${name}: alignment ${alignment}; give 4096, 2 MiB or 1 GiB, and a range that is a multiple of it`,
    );
  }
  const core = kernel.module(dax);
  const { pagemaps, devres } = kernel.module(memremap);
  const flags = pagemaps.protectionFlags;
  const map = { physical, size, type: MemoryType.devDax, flags };
  const pagemap = devres.tryMemremapPages(request.device, map);
  if (pagemap instanceof KernelError) return pagemap;
  const device = core.tryAllocDax({ name, operations: NO_OPERATIONS });
  if (device instanceof KernelError) return device;
  devres.addAction(request.device, () => {
    core.killDax(device);
    core.putDax(device);
  });
  core.setPagemap(device, pagemap);
  return new DevDax(request, { device, pagemap, core, devres });
}

/** Nobody but its own faults reaches the memory of a device-dax. */
const NO_OPERATIONS: DaxOperations = {
  directAccess: () => -EINVAL,
  copyFromIter: () => 0,
  copyToIter: () => 0,
  zeroPageRange: () => -EINVAL,
};
