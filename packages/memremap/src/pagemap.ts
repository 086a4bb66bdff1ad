// SPDX-License-Identifier: MIT
// ZONE_DEVICE page maps and the pages in them. mm/memremap.c, include/linux/memremap.h

import {
  EBUSY,
  EINVAL,
  ENOMEM,
  ENOSPC,
  ENXIO,
  type Kernel,
  KernelError,
  type Mutex,
  type StaticKey,
} from '@pkslab/kernel';
import { type Column, type FieldDefinition, PAGE_SIZE } from '@pkslab/x86-cpu';
import { type DevAccess, PKEY_INVALID } from './dev-access.ts';

/** enum memory_type: what a range of device memory is for. `private` is refused here. */
export const MemoryType = { private: 1, fsDax: 2, generic: 3, devDax: 4 } as const;

export const PGMAP_ALTMAP_VALID: number = 1 << 0;
/** The pages of this map are to be protected with the device key. */
export const PGMAP_PROT_ENABLED: number = 1 << 1;

/** Pages of a memory section: 128 MiB, the unit in which a pfn finds its page map. */
const SECTION_SHIFT = 15;
const PAGES_PER_SECTION: number = 1 << SECTION_SHIFT;
const SECTION_SIZE = PAGES_PER_SECTION * PAGE_SIZE;
const SECTIONS = 65536;
const MAX_PGMAPS = 16;

const pgmapField = (name: string, type: FieldDefinition['type']): FieldDefinition => ({
  name: `dev_pagemap.${name}`,
  type,
  initial: 0,
  per: 'object',
  count: MAX_PGMAPS,
});

const startField = pgmapField('start_pfn', 'address');
const endField = pgmapField('end_pfn', 'address');
const flagsField = pgmapField('flags', 'u32');
const typeField = pgmapField('type', 'u8');
const keyField = pgmapField('pkey', 'u8');

/** mem_section: the page map that a section's pages belong to, plus 1; 0 for ordinary memory. */
const sectionField: FieldDefinition = {
  name: 'mem_section.pgmap',
  type: 'u8',
  initial: 0,
  per: 'object',
  count: SECTIONS,
};

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
}

/** A live page map: its number and where its first page is mapped. */
export interface Pagemap {
  readonly id: number;
  readonly address: number;
  /** The key in its mappings; 0 where it is not protected. */
  readonly pkey: number;
}

/** The page maps of one kernel, and which of them a page belongs to. Get it with `kernel.module(memremap)`. */
export class Pagemaps {
  readonly flags: Column;
  readonly #kernel: Kernel;
  private readonly access: DevAccess;
  private readonly branch: StaticKey;
  readonly #start: Column;
  readonly #end: Column;
  readonly #type: Column;
  readonly #key: Column;
  private readonly section: Column;
  readonly #lock: Mutex;
  readonly #dropKey: boolean;
  readonly #getsFirst: boolean;
  /** max_pfn: pages below it are RAM, which is never ZONE_DEVICE; fixed at boot. */
  private readonly ramPages: number;

  constructor(kernel: Kernel, access: DevAccess) {
    const { machine } = kernel;
    this.#kernel = kernel;
    this.access = access;
    this.branch = access.branch;
    this.#start = machine.column(startField);
    this.#end = machine.column(endField);
    this.flags = machine.column(flagsField);
    this.#type = machine.column(typeField);
    this.#key = machine.column(keyField);
    this.section = machine.column(sectionField);
    this.ramPages = machine.memory.ramSize / PAGE_SIZE;
    this.#lock = kernel.mutex('memremap_lock');
    this.#getsFirst = kernel.choice('branchGet') === 'first';
    this.#dropKey = kernel.choice('mapKey') === 'dropped';
  }

  /**
   * memremap_pages: maps device memory into the direct map, with its struct pages.
   *
   * Use it when a device that has memory is bound; where `flags` has PGMAP_PROT_ENABLED the mapping carries
   * the device key. May sleep. [PATCH 12/17] memremap: Add zone device access protection
   *
   * @throws {KernelError} EINVAL for a bad range or type, ENXIO for a range that is RAM, EBUSY for an
   * overlap, ENOSPC past 16 maps, ENOMEM without memory for page tables.
   * @example
   * const kernel = boot({ modules: [pksCore, memremap] });
   * const { pagemaps } = kernel.module(memremap);
   * const physical = 0x1_0000_0000;
   * kernel.machine.memory.addRegion(physical, 4096, { read() {}, write() {} });
   * const request = { physical, size: 4096, type: MemoryType.devDax, flags: PGMAP_PROT_ENABLED };
   * const { pkey, address } = kernel.call(() => pagemaps.memremapPages(request));
   * pkey; // => 1
   * kernel.mm.lookup(address).key; // => 1
   */
  memremapPages(request: PagemapRequest): Pagemap {
    const early = this.#getsFirst ? this.#protectionGet(request.flags) : 0;
    check(request, this.#kernel.machine.memory.ramSize);
    this.#lock.lock();
    const id = this.#reserve(request);
    const pkey = this.#getsFirst ? early : this.#protectionGet(request.flags);
    const { physical, size } = request;
    const { mm } = this.#kernel;
    const address = mm.directAddress(physical);
    const key = this.#dropKey ? 0 : pkey;
    if (!mm.tryMap(address, physical, size, { key, writable: true })) {
      this.#type.set(id, 0);
      if (pkey !== 0 && !this.#getsFirst) this.access.branch.dec();
      this.#lock.unlock();
      throw new KernelError(ENOMEM, 'memremap_pages: no memory for page tables: boot with more');
    }
    this.flags.set(id, request.flags);
    this.#key.set(id, pkey);
    for (const section of sections(physical, size)) this.section.set(section, id + 1);
    this.#lock.unlock();
    return { id, address, pkey };
  }

  /**
   * memunmap_pages: the pages go first, then the mapping, then the static branch.
   *
   * Use it when the device is unbound and nobody holds a grant or an address of it any more. May sleep. A
   * map that is not live is refused with a WARN.
   */
  memunmapPages(map: Pagemap): void {
    this.#lock.lock();
    if (this.#type.get(map.id) === 0) {
      this.#kernel.oops.warn(`memremap: page map ${map.id} is not live`);
      this.#lock.unlock();
      return;
    }
    const physical = this.#start.get(map.id) * PAGE_SIZE;
    const size = this.#end.get(map.id) * PAGE_SIZE - physical;
    for (const section of sections(physical, size)) this.section.set(section, 0);
    this.#kernel.mm.unmap(map.address, size);
    const flags = this.flags.exchange(map.id, 0);
    const pkey = this.#key.exchange(map.id, 0);
    if ((flags & PGMAP_PROT_ENABLED) !== 0 && pkey !== 0) this.access.branch.dec();
    this.#type.set(map.id, 0);
    this.#lock.unlock();
  }

  /** is_zone_device_page and page->pgmap in one read: the map's number, or −1. */
  pgmapOf(pfn: number): number {
    return this.section.get(pfn >>> SECTION_SHIFT) - 1;
  }

  /**
   * page_is_access_protected: whether a page, by its pfn, needs a grant. Cheapest test first: static branch,
   * kind of page, flag of its map. [PATCH 12/17]
   */
  pageIsAccessProtected(pfn: number): boolean {
    if (!this.branch.unlikely() || pfn < this.ramPages) return false;
    const section = this.section.get(pfn >>> SECTION_SHIFT);
    return section !== 0 && (this.flags.get(section - 1) & PGMAP_PROT_ENABLED) !== 0;
  }

  /** dev_protection_enable_get: the key for a map's protection, 0 where it has none. */
  #protectionGet(flags: number): number {
    if ((flags & PGMAP_PROT_ENABLED) === 0) return 0;
    const { pkey } = this.access;
    if (pkey === PKEY_INVALID) return 0;
    this.access.branch.inc();
    return pkey;
  }

  /** Takes the lowest free number for a range that overlaps no other. */
  #reserve({ physical, size, type }: PagemapRequest): number {
    const start = physical / PAGE_SIZE;
    const end = start + size / PAGE_SIZE;
    let free = -1;
    for (let id = MAX_PGMAPS - 1; id >= 0; id--) {
      if (this.#type.get(id) === 0) free = id;
      else if (start < this.#end.get(id) && this.#start.get(id) < end) {
        this.#lock.unlock();
        throw new KernelError(EBUSY, `memremap_pages: the range overlaps page map ${id}`);
      }
    }
    if (free < 0) {
      this.#lock.unlock();
      throw new KernelError(ENOSPC, `memremap_pages: all ${MAX_PGMAPS} page maps are in use`);
    }
    this.#start.set(free, start);
    this.#end.set(free, end);
    this.#type.set(free, type);
    return free;
  }
}

function check({ physical, size, type }: PagemapRequest, ramSize: number): void {
  const at = `memremap_pages: 0x${physical.toString(16)}`;
  if (physical < 0 || physical % SECTION_SIZE !== 0) {
    throw new KernelError(EINVAL, `${at} is not on a 128 MiB boundary`);
  }
  if (!(size > 0) || size % PAGE_SIZE !== 0) {
    throw new KernelError(
      EINVAL,
      `memremap_pages: size ${size} is not a positive multiple of 4096`,
    );
  }
  if (physical + size > SECTIONS * SECTION_SIZE) {
    throw new KernelError(EINVAL, `${at}: the range ends past 8 TiB, where pfns have no section`);
  }
  if (physical < ramSize) {
    throw new KernelError(ENXIO, `${at}: RAM ends at 0x${ramSize.toString(16)}`);
  }
  if (type !== MemoryType.fsDax && type !== MemoryType.devDax && type !== MemoryType.generic) {
    throw new KernelError(
      EINVAL,
      `memremap_pages: memory type ${type} is not one of FS_DAX, GENERIC, DEVDAX`,
    );
  }
}

function sections(physical: number, size: number): number[] {
  const first = physical / PAGE_SIZE / PAGES_PER_SECTION;
  const count = Math.ceil(size / PAGE_SIZE / PAGES_PER_SECTION);
  return Array.from({ length: count }, (_, i) => first + i);
}
