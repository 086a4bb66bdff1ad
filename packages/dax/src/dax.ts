// SPDX-License-Identifier: MIT
// The dax core: devices, and access to their memory without a page cache. drivers/dax/super.c

import {
  EINVAL,
  EIO,
  ENOSPC,
  ENXIO,
  ERANGE,
  type Kernel,
  KernelError,
  type KernelModule,
} from '@pkslab/kernel';
import { type DevresAction, memremap, type Pagemap } from '@pkslab/memremap';
import { type Column, PAGE_SIZE } from '@pkslab/x86-cpu';
import { daxChoices } from './choices.ts';
import { DaxGrant } from './dax-grant.ts';
import { DaxLock } from './dax-lock.ts';
import {
  DAX_DEVICES_MAX,
  DAXDEV_ALIVE,
  DAXDEV_WRITE_CACHE,
  DaxDevice,
  type DaxDeviceCells,
  type DaxOperations,
  type DirectAccess,
  daxFlagsField,
  daxPagemapField,
  daxUsedField,
} from './device.ts';
import { FsdaxSupport } from './fsdax-supported.ts';
import type { IovIter } from './iov-iter.ts';

/** What {@link Dax.allocDax} makes a device of. */
export interface DaxRequest {
  /** What the device is found by, e.g. `pmem0`. */
  readonly name: string;
  readonly operations: DaxOperations;
}

/** What a driver puts under its device's number, to be done at the release. */
export interface DaxActions {
  /** kill_dax of a dax device, by its `id`. */
  readonly kill: DevresAction;
  /** kill_dax and put_dax of a dax device, by its `id`. */
  readonly release: DevresAction;
  /** Takes the leaves of a file out of the page tables of programs, and lets go of it. */
  readonly closeFile: DevresAction;
}

/**
 * The dax core of one kernel.
 *
 * @example
 * const core = kernel.module(dax);
 * core.getByHost('pmem0')?.name; // => 'pmem0'
 */
export class Dax {
  /** empty_zero_page: what the holes of files read as. */
  readonly zeroPfn: number;
  readonly #kernel: Kernel;
  readonly #lock: DaxLock;
  readonly #grant: DaxGrant;
  readonly #cells: DaxDeviceCells;
  readonly #used: Column;
  readonly #devices: (DaxDevice | undefined)[] = [];
  readonly #support: FsdaxSupport;
  readonly actions: DaxActions;
  readonly #killWaits: boolean;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.zeroPfn = kernel.mm.allocPage() / PAGE_SIZE;
    this.#lock = new DaxLock(kernel);
    this.#grant = new DaxGrant(kernel);
    const { machine } = kernel;
    this.#cells = {
      flags: machine.column(daxFlagsField),
      pagemap: machine.column(daxPagemapField),
    };
    this.#used = kernel.machine.column(daxUsedField);
    this.#support = new FsdaxSupport(kernel, this);
    this.#killWaits = kernel.choice('daxKill') === 'waits';
    this.actions = this.#registerActions();
  }

  #registerActions(): DaxActions {
    const { devres } = this.#kernel.module(memremap);
    const { userMm } = this.#kernel;
    const kill = (id: number): void => this.killDax(this.#devices[id] as DaxDevice);
    return {
      kill: devres.register(kill),
      release: devres.register((id) => {
        kill(id);
        this.putDax(this.#devices[id] as DaxDevice);
      }),
      closeFile: devres.register((file) => {
        userMm.unmapMapping(file);
        userMm.close(file);
      }),
    };
  }

  /**
   * dax_read_lock: until the unlock, devices stay and their memory may be touched. Nests; may sleep inside.
   *
   * Access opens for every protected device, since they share one key. [PATCH 14/17]
   */
  readLock(): number {
    return this.#lock.readLock();
  }

  /** dax_read_unlock: takes what {@link readLock} returned. */
  readUnlock(id: number): void {
    this.#lock.readUnlock(id);
  }

  /** Whether the calling task holds the lock: for assertions. */
  get readLockHeld(): boolean {
    return this.#lock.held;
  }

  /**
   * alloc_dax: a device that is alive, with its write cache on.
   *
   * @throws {KernelError} ENOSPC past 16 devices.
   */
  allocDax(request: DaxRequest): DaxDevice {
    const device = this.tryAllocDax(request);
    if (device instanceof KernelError) throw device;
    return device;
  }

  /** {@link allocDax} with its error as a value, for who has something to give back then. */
  tryAllocDax({ name, operations }: DaxRequest): DaxDevice | KernelError {
    for (let id = 0; id < DAX_DEVICES_MAX; id++) {
      if (this.#used.exchange(id, 1) !== 0) continue;
      const device = new DaxDevice(id, name, operations, this.#cells);
      this.#devices[id] = device;
      this.#cells.pagemap.set(id, 0);
      this.#cells.flags.set(id, (1 << DAXDEV_ALIVE) | (1 << DAXDEV_WRITE_CACHE));
      return device;
    }
    return new KernelError(ENOSPC, `alloc_dax: all ${DAX_DEVICES_MAX} dax devices are in use`);
  }

  /** set_dax_pgmap: tells a device which page map its memory has. V9 on */
  setPagemap(device: DaxDevice, { id }: Pagemap): void {
    this.#cells.pagemap.set(device.id, id + 1);
  }

  /** dax_map_protected: whether its memory needs {@link setReadwrite}; false for a dead device. V7 on */
  mapProtected(device: DaxDevice): boolean {
    return this.#grant.mapProtected(device);
  }

  /**
   * dax_set_readwrite (V7: dax_mk_readwrite): the calling context may touch the device's memory until
   * {@link setNoaccess}.
   *
   * Use it around each touch, under the lock. Nothing where the lock itself opens access (`daxGrant`).
   */
  setReadwrite(device: DaxDevice): void {
    this.#grant.setReadwrite(device);
  }

  /** dax_set_noaccess (V7: dax_mk_noaccess). */
  setNoaccess(device: DaxDevice): void {
    this.#grant.setNoaccess(device);
  }

  /** Whether access is open around each touch only, and not as long as the lock is held. */
  get accessScope(): boolean {
    return this.#grant.perAccess;
  }

  /** dax_get_by_host: the live device of a name, or null. */
  getByHost(name: string): DaxDevice | null {
    for (let id = 0; id < DAX_DEVICES_MAX; id++) {
      const device = this.#devices[id];
      if (device?.name === name && this.#used.get(id) !== 0 && this.daxAlive(device)) return device;
    }
    return null;
  }

  /** dax_alive: false from kill_dax on. */
  daxAlive(device: DaxDevice): boolean {
    return device.flag(DAXDEV_ALIVE);
  }

  /**
   * kill_dax: no new access to the device succeeds, and none is under way once this returns. May sleep.
   *
   * Call it with the lock not held, before the memory goes away.
   */
  killDax(device: DaxDevice): void {
    device.setFlag(DAXDEV_ALIVE, false);
    if (this.#killWaits) this.#lock.synchronize();
  }

  /** put_dax of the last reference: the slot is free again. */
  putDax(device: DaxDevice): void {
    this.#used.set(device.id, 0);
  }

  /**
   * dax_direct_access: where pages of a device are; valid until the lock is dropped.
   *
   * @param pgoff page of the device, of 4 KiB
   * @param nrPages how many the caller wants, at least 1
   * @returns the place of up to that many pages, or −EINVAL (with a WARN where the lock is not held; for less than a
   * page, and for what is no whole number), −ENXIO for a dead device, −ERANGE beyond its end, −EIO over bad blocks.
   * @example
   * kernel.call(() => {
   *   const id = core.readLock();
   *   const found = core.directAccess(device, 0, 1);
   *   if (typeof found !== 'number') kernel.machine.store32(found.address, 7);
   *   core.readUnlock(id);
   * });
   */
  directAccess(device: DaxDevice, pgoff: number, nrPages: number): DirectAccess | number {
    if (!this.#lock.held) {
      this.#kernel.oops.warnOnce(`dax: direct access to ${device.name} without dax_read_lock`);
      return -EINVAL;
    }
    if (!this.daxAlive(device)) return -ENXIO;
    if (!Number.isSafeInteger(pgoff) || !Number.isSafeInteger(nrPages) || nrPages < 1)
      return -EINVAL;
    const found = device.operations.directAccess(pgoff, nrPages);
    if (typeof found === 'number') return found;
    if (found.pages < 1) return -ERANGE;
    return found.pages <= nrPages ? found : { ...found, pages: nrPages };
  }

  /** dax_copy_from_iter: bytes copied to `address` of the device; 0 for a dead one. */
  copyFromIter(
    device: DaxDevice,
    pgoff: number,
    address: number,
    bytes: number,
    iter: IovIter,
  ): number {
    if (!this.daxAlive(device)) return 0;
    return device.operations.copyFromIter(pgoff, address, bytes, iter);
  }

  /** dax_copy_to_iter: bytes copied from `address` of the device; 0 for a dead one. */
  copyToIter(
    device: DaxDevice,
    pgoff: number,
    address: number,
    bytes: number,
    iter: IovIter,
  ): number {
    if (!this.daxAlive(device)) return 0;
    return device.operations.copyToIter(pgoff, address, bytes, iter);
  }

  /** dax_zero_page_range: 0, or −ENXIO for a dead device, −EIO for other than one page of it. */
  zeroPageRange(device: DaxDevice, pgoff: number, nrPages: number): number {
    if (!this.daxAlive(device)) return -ENXIO;
    if (nrPages !== 1 || !Number.isSafeInteger(pgoff)) return -EIO;
    return device.operations.zeroPageRange(pgoff, nrPages);
  }

  /** dax_flush: writes back the lines of a range, where the device has its write cache on. */
  flush(device: DaxDevice, address: number, size: number): void {
    if (this.writeCacheEnabled(device)) this.#kernel.machine.clwb(address, size);
  }

  /** dax_write_cache: whether dax_flush has to write lines back. */
  setWriteCache(device: DaxDevice, on: boolean): void {
    device.setFlag(DAXDEV_WRITE_CACHE, on);
  }

  writeCacheEnabled(device: DaxDevice): boolean {
    return device.flag(DAXDEV_WRITE_CACHE);
  }

  /** generic_fsdax_supported: whether a file system may use a range of the device directly. [PATCH 11/17] */
  genericFsdaxSupported(
    device: DaxDevice,
    blockSize: number,
    start: number,
    length: number,
  ): boolean {
    return this.#support.supported(device, blockSize, start, length);
  }
}

/** dax as a boot module; needs memremap. */
export const dax: KernelModule<Dax> = {
  name: 'dax',
  ...daxChoices,
  create: (kernel) => new Dax(kernel),
};
