// SPDX-License-Identifier: MIT
// ZONE_DEVICE page maps and the pages in them. mm/memremap.c, include/linux/memremap.h

import {
  defineStaticKey,
  EBUSY,
  EINVAL,
  ENOMEM,
  ENOSPC,
  type Kernel,
  KernelError,
  type Mutex,
  type StaticKey,
  type StaticKeyDefinition,
} from '@pkslab/kernel';
import { type Column, type FieldDefinition, PAGE_SIZE } from '@pkslab/x86-cpu';
import { BranchUsers } from './branch-users.ts';
import { isProtectionConfigured } from './config.ts';
import { type DevAccess, PKEY_INVALID } from './dev-access.ts';
import { PageReferences } from './page-references.ts';
import {
  MemoryType,
  type PagemapOperations,
  type PagemapRequest,
  PGMAP_PROT_ENABLED,
  requestError,
  SECTION_SHIFT,
  SECTIONS,
  sectionsOf,
} from './pagemap-request.ts';

const MAX_PGMAPS = 16;

/** devmap_managed_key: on while pages exist whose last put_page is their driver's business. [PATCH 09/17] */
export const devmapManagedKey: StaticKeyDefinition = defineStaticKey('devmap_managed_key');

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
const opsField = pgmapField('ops', 'u8');

/** mem_section: the page map that a section's pages belong to, plus 1; 0 for ordinary memory. */
const sectionField: FieldDefinition = {
  name: 'mem_section.pgmap',
  type: 'u8',
  initial: 0,
  per: 'object',
  count: SECTIONS,
};

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
  /** devmap_managed_key */
  readonly managed: StaticKey;
  private readonly access: DevAccess;
  private readonly branch: StaticKey;
  readonly #protectionUsers: BranchUsers;
  readonly #managedUsers: BranchUsers;
  readonly #references: PageReferences;
  readonly #operations: PagemapOperations[] = [];
  readonly #start: Column;
  readonly #end: Column;
  readonly #type: Column;
  readonly #key: Column;
  /** What the map's driver does with its pages: a number from {@link registerOperations} plus 1; 0: nothing. */
  readonly #ops: Column;
  private readonly section: Column;
  readonly #lock: Mutex;
  readonly #dropKey: boolean;
  readonly #getsFirst: boolean;
  readonly #withoutKey: string;
  readonly #managedAlwaysPut: boolean;
  readonly #unmapWaits: boolean;
  readonly #flagAlways: boolean;
  /** max_pfn: pages below it are RAM, which is never ZONE_DEVICE; fixed at boot. */
  private readonly ramPages: number;

  constructor(kernel: Kernel, access: DevAccess) {
    const { machine } = kernel;
    this.#kernel = kernel;
    this.access = access;
    this.branch = access.branch;
    this.managed = kernel.staticKey(devmapManagedKey);
    this.#protectionUsers = new BranchUsers(kernel, access.branch, 'dev_protection_enable');
    this.#managedUsers = new BranchUsers(kernel, this.managed, 'devmap_managed_enable');
    this.#references = new PageReferences(kernel, MAX_PGMAPS);
    this.#start = machine.column(startField);
    this.#end = machine.column(endField);
    this.flags = machine.column(flagsField);
    this.#type = machine.column(typeField);
    this.#key = machine.column(keyField);
    this.#ops = machine.column(opsField);
    this.section = machine.column(sectionField);
    this.ramPages = machine.memory.ramSize / PAGE_SIZE;
    this.#lock = kernel.mutex('memremap_lock');
    this.#getsFirst = kernel.choice('branchGet') === 'first';
    this.#dropKey = kernel.choice('mapKey') === 'dropped';
    // Who has it configured out is not told.
    const configured = isProtectionConfigured(kernel);
    const withoutKey = kernel.choice('protectionUnavailable');
    this.#withoutKey = configured || withoutKey === 'refused' ? withoutKey : 'unprotected';
    this.#managedAlwaysPut = kernel.choice('managedPut') === 'always';
    this.#flagAlways = kernel.choice('protectionFlag') === 'always';
    this.#unmapWaits = kernel.choice('unmapWait') === 'waits';
  }

  /** Gives a driver's functions a number, for {@link PagemapRequest}; at boot, in `KernelModule.create`. */
  registerOperations(operations: PagemapOperations): number {
    return this.#operations.push(operations) - 1;
  }

  /**
   * memremap_pages: maps device memory into the direct map, with its struct pages.
   *
   * Use it when a device that has memory is bound; where `flags` has PGMAP_PROT_ENABLED the mapping carries
   * the device key. May sleep. [PATCH 12/17] memremap: Add zone device access protection
   *
   * @throws {KernelError} EINVAL for a bad range or type, and from V7 on where protection is asked for and
   * there is none; ENXIO for a range that is RAM, and without CONFIG_ZONE_DEVICE; EBUSY for an overlap, ENOSPC past 16 maps, ENOMEM without
   * memory for page tables.
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
    const map = this.tryMemremapPages(request);
    if (map instanceof KernelError) throw map;
    return map;
  }

  /** {@link memremapPages} with its error as a value (ERR_PTR), for who has something to give back then. */
  tryMemremapPages(request: PagemapRequest): Pagemap | KernelError {
    const early = this.#getsFirst ? this.#protectionGet(request) : 0;
    const operations = this.#operations[request.operations ?? -1];
    const error = early < 0 ? noKey() : requestError(this.#kernel, request, operations);
    if (error !== null) return error;
    this.#lock.lock();
    const map = this.#tryMap(request, early);
    this.#lock.unlock();
    return map;
  }

  #tryMap(request: PagemapRequest, early: number): Pagemap | KernelError {
    const id = this.#reserve(request);
    if (id instanceof KernelError) return id;
    const pkey = this.#getsFirst ? early : this.#protectionGet(request);
    const { physical, size, type } = request;
    const address = this.#kernel.mm.directAddress(physical);
    if (pkey < 0 || !this.#mapped(request, address, pkey)) {
      this.#type.set(id, 0);
      if (pkey < 0) return noKey();
      if (pkey !== 0 && !this.#getsFirst) this.#protectionUsers.put();
      return new KernelError(ENOMEM, 'memremap_pages: no memory for page tables: boot with more');
    }
    if (isManaged(type)) this.#managedUsers.get();
    this.#ops.set(id, (request.operations ?? -1) + 1);
    this.#references.revive(id);
    this.flags.set(id, request.flags);
    this.#key.set(id, pkey);
    for (const section of sectionsOf(physical, size)) this.section.set(section, id + 1);
    return { id, address, pkey };
  }

  /** MEMORY_DEVICE_PRIVATE has struct pages, but no CPU reaches it. */
  #mapped({ physical, size, type }: PagemapRequest, address: number, pkey: number): boolean {
    if (type === MemoryType.private) return true;
    const key = this.#dropKey ? 0 : pkey;
    return this.#kernel.mm.tryMap(address, physical, size, { key, writable: true });
  }

  /**
   * memunmap_pages: no page can be had any more, those who hold one are waited for, then the pages go, the
   * mapping, and the static branches. May sleep.
   *
   * Use it when the device is unbound and nobody holds a grant or an address of it any more. A map that is
   * not live is refused with a WARN.
   */
  memunmapPages({ id }: Pick<Pagemap, 'id'>): void {
    if (this.#type.get(id) === 0 || !this.#references.kill(id)) {
      this.#kernel.oops.warn(`memremap: page map ${id} is not live`);
      return;
    }
    if (this.#unmapWaits) this.#references.wait(id);
    this.#lock.lock();
    const type = this.#type.get(id);
    const physical = this.#start.get(id) * PAGE_SIZE;
    const size = this.#end.get(id) * PAGE_SIZE - physical;
    for (const section of sectionsOf(physical, size)) this.section.set(section, 0);
    const { mm } = this.#kernel;
    if (type !== MemoryType.private) mm.unmap(mm.directAddress(physical), size);
    const flags = this.flags.exchange(id, 0);
    const pkey = this.#key.exchange(id, 0);
    if ((flags & PGMAP_PROT_ENABLED) !== 0 && pkey !== 0) this.#protectionUsers.put();
    if (this.#managedAlwaysPut || isManaged(type)) this.#managedUsers.put();
    this.#type.set(id, 0);
    this.#lock.unlock();
  }

  /**
   * get_dev_pagemap and get_page: the page stays until {@link putPage}; false for RAM and for a map that is
   * going away.
   *
   * Use it where an address of device memory outlives the lock that it was got under, as get_user_pages does.
   *
   * @throws {KernelError} ENOMEM past {@link HELD_PAGES_MAX} held pages.
   */
  getPage(pfn: number): boolean {
    const map = this.pgmapOf(pfn);
    return map >= 0 && this.#references.get(map, pfn);
  }

  /** put_page of a page that {@link getPage} gave; the driver hears of the last one (`pageFree`). */
  putPage(pfn: number): void {
    const map = this.pgmapOf(pfn);
    const managed = this.managed.enabled;
    if (map < 0) {
      this.#kernel.oops.warn(`memremap: put_page of pfn 0x${pfn.toString(16)}`);
      return;
    }
    const left = this.#references.put(pfn);
    if (left === 0 && managed) this.#operations[this.#ops.get(map) - 1]?.pageFree?.(pfn);
    // Last: nothing keeps the map, and its number, from here on.
    if (left >= 0) this.#references.putMap(map);
  }

  /** page_ref_count of a page of device memory: 1 where only its map holds it. */
  pageCount(pfn: number): number {
    return this.#references.count(pfn);
  }

  /** What a driver puts into a request's `flags` to have its memory protected, as far as there is protection. */
  get protectionFlags(): number {
    return this.#flagAlways || this.access.available ? PGMAP_PROT_ENABLED : 0;
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

  /** dev_protection_enable_get: the key for a map's protection, 0 where it has none, −1 where it must have one. */
  #protectionGet({ flags, physical, size }: PagemapRequest): number {
    if ((flags & PGMAP_PROT_ENABLED) === 0) return 0;
    const { pkey } = this.access;
    if (pkey !== PKEY_INVALID) {
      this.#protectionUsers.get();
      return pkey;
    }
    if (this.#withoutKey === 'refused') return -1;
    if (this.#withoutKey === 'reported') {
      const range = `[mem 0x${physical.toString(16)}-0x${(physical + size - 1).toString(16)}]`;
      this.#kernel.print(`memremap: ${range} is not protected: no protection key`);
    }
    return 0;
  }

  /** Takes the lowest free number for a range that overlaps no other. */
  #reserve({ physical, size, type }: PagemapRequest): number | KernelError {
    const start = physical / PAGE_SIZE;
    const end = start + size / PAGE_SIZE;
    let free = -1;
    for (let id = MAX_PGMAPS - 1; id >= 0; id--) {
      if (this.#type.get(id) === 0) free = id;
      else if (start < this.#end.get(id) && this.#start.get(id) < end) {
        return new KernelError(EBUSY, `memremap_pages: the range overlaps page map ${id}`);
      }
    }
    if (free < 0) {
      return new KernelError(ENOSPC, `memremap_pages: all ${MAX_PGMAPS} page maps are in use`);
    }
    this.#start.set(free, start);
    this.#end.set(free, end);
    this.#type.set(free, type);
    return free;
  }
}

function noKey(): KernelError {
  return new KernelError(EINVAL, 'memremap_pages: protection is asked for, and there is no key');
}

/** devmap_managed_enable_get: the types whose pages are given back to their driver. */
function isManaged(type: number): boolean {
  return type === MemoryType.private || type === MemoryType.fsDax;
}
