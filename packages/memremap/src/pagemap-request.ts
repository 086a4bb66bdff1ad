// SPDX-License-Identifier: MIT
// What a driver asks of memremap_pages, and what is refused. mm/memremap.c, include/linux/memremap.h

import { EINVAL, ENXIO, type Kernel, KernelError } from '@pkslab/kernel';
import { PAGE_SIZE } from '@pkslab/x86-cpu';

/** enum memory_type: what a range of device memory is for. */
export const MemoryType = { private: 1, fsDax: 2, generic: 3, devDax: 4 } as const;

export const PGMAP_ALTMAP_VALID: number = 1 << 0;
/** The pages of this map are to be protected with the device key. PGMAP_PROTECTION from V7 on. */
export const PGMAP_PROT_ENABLED: number = 1 << 1;

/** Pages of a memory section: 128 MiB, the unit in which a pfn finds its page map. */
export const SECTION_SHIFT = 15;
const PAGES_PER_SECTION: number = 1 << SECTION_SHIFT;
const SECTION_SIZE = PAGES_PER_SECTION * PAGE_SIZE;
export const SECTIONS = 65536;

/** struct dev_pagemap_ops */
export interface PagemapOperations {
  /**
   * A CPU touched a page of MEMORY_DEVICE_PRIVATE: it must come back to RAM. Required there, as memremap_pages does,
   * and never called: no page table has entries of private pages here, so no CPU can touch one.
   */
  migrateToRam?(pfn: number): void;
  /** The last user of a page is gone. */
  pageFree?(pfn: number): void;
}

/** struct dev_pagemap, as a driver fills it before memremap_pages. */
export interface PagemapRequest {
  /** Physical range, in multiples of 4 KiB; the start on a section boundary (128 MiB). */
  readonly physical: number;
  /** In bytes. */
  readonly size: number;
  /** One of {@link MemoryType}. */
  readonly type: number;
  /** PGMAP_* or-ed together. */
  readonly flags: number;
  /**
   * What the driver does with its pages, by its number from {@link Pagemaps.registerOperations};
   * MEMORY_DEVICE_PRIVATE needs both functions, and an owner.
   */
  readonly operations?: number;
  /** Who may migrate pages of MEMORY_DEVICE_PRIVATE. */
  readonly owner?: string;
}

/** EINVAL for a bad range or type, with a WARN for the latter; ENXIO for RAM, and without ZONE_DEVICE. */
export function requestError(
  kernel: Kernel,
  request: PagemapRequest,
  operations: PagemapOperations | undefined,
): KernelError | null {
  const { physical, size } = request;
  const { ramSize } = kernel.machine.memory;
  const at = `memremap_pages: 0x${physical.toString(16)}`;
  if (!kernel.config.enabled('ZONE_DEVICE')) {
    // The stub of devm_memremap_pages.
    kernel.oops.warnOn('devm_memremap_pages stub');
    return new KernelError(ENXIO, `${at}: there is no ZONE_DEVICE: boot with config ZONE_DEVICE`);
  }
  if (physical < 0 || physical % SECTION_SIZE !== 0) {
    return new KernelError(EINVAL, `${at} is not on a 128 MiB boundary`);
  }
  if (!(size > 0) || size % PAGE_SIZE !== 0) {
    return new KernelError(
      EINVAL,
      `memremap_pages: size ${size} is not a positive multiple of 4096`,
    );
  }
  if (physical + size > SECTIONS * SECTION_SIZE) {
    return new KernelError(EINVAL, `${at}: the range ends past 8 TiB, where pfns have no section`);
  }
  if (physical < ramSize) {
    return new KernelError(ENXIO, `${at}: RAM ends at 0x${ramSize.toString(16)}`);
  }
  const complaint = typeComplaint(request, operations);
  if (complaint === null) return null;
  kernel.oops.warn(complaint);
  return new KernelError(EINVAL, `memremap_pages: ${complaint}`);
}

/** The WARN for a type that is unknown, or lacks what it needs. */
function typeComplaint(
  { type, owner }: PagemapRequest,
  operations: PagemapOperations | undefined,
): string | null {
  if (type === MemoryType.private) {
    if (operations?.migrateToRam === undefined) return 'Missing migrate_to_ram method';
    if (operations.pageFree === undefined) return 'Missing page_free method';
    return owner === undefined ? 'Missing owner' : null;
  }
  if (type === MemoryType.fsDax || type === MemoryType.devDax || type === MemoryType.generic) {
    return null;
  }
  return `Invalid pgmap type ${type}`;
}

/** The numbers of a range's memory sections. */
export function sectionsOf(physical: number, size: number): number[] {
  const first = physical / PAGE_SIZE / PAGES_PER_SECTION;
  const count = Math.ceil(size / PAGE_SIZE / PAGES_PER_SECTION);
  return Array.from({ length: count }, (_, i) => first + i);
}
