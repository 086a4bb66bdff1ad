// SPDX-License-Identifier: MIT
// The nvdimm pmem driver. drivers/nvdimm/pmem.c

import { type Dax, type DaxOperations, type DevDax, dax, devDaxProbe } from '@pkslab/dax';
import {
  EIO,
  ENOMEM,
  ENOSPC,
  ERANGE,
  type Kernel,
  KernelError,
  type KernelModule,
  PAGE_KERNEL_PROT,
} from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import {
  type DevAccess,
  type Devres,
  type DevresAction,
  MemoryType,
  memremap,
  type Pagemap,
  type Pagemaps,
} from '@pkslab/memremap';
import { type Column, LARGE_PAGE_SIZE, PAGE_SIZE } from '@pkslab/x86-cpu';
import {
  type AttachRequest,
  checkAttach,
  checkMedia,
  type DevDaxAttachRequest,
  type NamespaceMode,
} from './attach-request.ts';
import { BadBlocks } from './bad-blocks.ts';
import { type DetachOrder, pmemChoices } from './choices.ts';
import { Nvdimm } from './nvdimm.ts';
import { PmemDevice, type PmemIdentity, type PmemParts } from './pmem-device.ts';
import { RequestQueues } from './request-queue.ts';
import { type Target, Transfer } from './transfer.ts';

/** How many pmem devices a kernel has room for. */
export const PMEM_DEVICES_MAX = 16;

/** What the driver puts under a device's number, to be undone. */
interface ReleaseActions {
  readonly freeSlot: DevresAction;
  readonly unplug: DevresAction;
  readonly unmapRaw: DevresAction;
}

export class PmemDriver {
  readonly #kernel: Kernel;
  readonly #dax: Dax;
  readonly #access: DevAccess;
  readonly #pagemaps: Pagemaps;
  readonly #devres: Devres;
  readonly #actions: ReleaseActions;
  readonly #parts: PmemParts;
  readonly #used: Column;
  readonly #protects: boolean;
  readonly #detachOrder: DetachOrder;

  constructor(kernel: Kernel) {
    const { machine } = kernel;
    this.#kernel = kernel;
    this.#dax = kernel.module(dax);
    this.#access = kernel.module(memremap).access;
    this.#pagemaps = kernel.module(memremap).pagemaps;
    this.#devres = kernel.module(memremap).devres;
    const badBlocks = new BadBlocks(kernel, PMEM_DEVICES_MAX);
    const nvdimm = new Nvdimm(kernel, PMEM_DEVICES_MAX);
    this.#parts = {
      machine,
      kmap: kernel.module(kmap),
      nvdimm,
      transfer: new Transfer(kernel, badBlocks, nvdimm.errors),
      badBlocks,
      queues: new RequestQueues(kernel, PMEM_DEVICES_MAX),
      fences: kernel.choice('flushFence') === 'present',
      detach: (device, queue) => this.#detach(device, queue),
    };
    this.#used = machine.column({
      name: 'pmem_device.used',
      type: 'bool',
      initial: 0,
      per: 'object',
      count: PMEM_DEVICES_MAX,
    });
    this.#actions = this.#registerActions();
    this.#protects = kernel.choice('pmemProtection') === 'set';
    this.#detachOrder = kernel.choice('detachOrder') as DetachOrder;
  }

  /** What an attach has done that the release of the device, `id`, takes back. */
  #registerActions(): ReleaseActions {
    const { nvdimm, badBlocks } = this.#parts;
    const { mm } = this.#kernel;
    return {
      freeSlot: this.#devres.register((id) => this.#used.set(id, 0)),
      unplug: this.#devres.register((id) => {
        const drained = nvdimm.drain(id);
        if (nvdimm.flush(id) !== 0 || drained !== 0) nvdimm.lose(id);
        nvdimm.unplug(id);
        nvdimm.errors.reset(id);
        badBlocks.reset(id);
      }),
      unmapRaw: this.#devres.register((id) => {
        const { physical, size } = nvdimm.rangeOf(id);
        mm.unmap(mm.directAddress(physical), size);
      }),
    };
  }

  /**
   * pmem_attach_disk: makes a block device and a dax device of media; may sleep. [PATCH 16/17]
   *
   * Protection is asked for before anything is mapped, and without an option: every namespace with struct pages
   * gets the device key.
   *
   * @throws {KernelError} EINVAL for a mode that there is none of and a size or address that does not fit, EBUSY where something is there
   * already, ENOSPC past 16 devices.
   * @example
   * const kernel = boot({ modules: [pksCore, memremap, kmap, dax, pmem] });
   * const device = kernel.call(() => kernel.module(pmem).attachDisk({ media: memoryMedia(2 ** 24) }));
   * device.pagemap.pkey; // => 1
   */
  attachDisk(request: AttachRequest): PmemDevice {
    const { media } = request;
    const { nvdimm } = this.#parts;
    checkAttach(request);
    const physical = request.physical ?? nvdimm.nextFree();
    nvdimm.checkFree(physical, media.size);
    const id = this.#takeSlot();
    const device = this.#probe(id, physical, request);
    if (!(device instanceof KernelError)) return device;
    this.#devres.releaseAll(id);
    throw device;
  }

  /** pmem_attach_disk; what it got before a step that fails is its caller's to release. */
  #probe(id: number, physical: number, request: AttachRequest): PmemDevice | KernelError {
    const { media, mode = 'fsdax', persistence = 'adr' } = request;
    if (!this.#plug(id, physical, request)) return heldTooMuch(id);
    const pagemap = this.#map(id, physical, media.size, mode);
    if (pagemap instanceof KernelError) return pagemap;
    const { queues } = this.#parts;
    const name = request.name ?? `pmem${id}`;
    const readOnly = request.readOnly ?? media.readOnly ?? false;
    // nvdimm_has_cache: not where the platform saves it.
    const hasCache = persistence === 'adr';
    const queue = queues.create(id, hasCache);
    const size = media.size;
    const identity = { id, name, size, physical, pagemap, readOnly, queue, persistence };
    const operations = this.#operations({ id, address: pagemap.address, pagemap }, identity);
    const daxDevice = this.#dax.tryAllocDax({ name, operations });
    if (daxDevice instanceof KernelError) return daxDevice;
    if (this.#devres.addAction(id, this.#dax.actions.release, daxDevice.id) < 0)
      return heldTooMuch(id);
    if (pagemap.id >= 0) this.#dax.setPagemap(daxDevice, pagemap);
    if (!hasCache) this.#dax.setWriteCache(daxDevice, false);
    const device = new PmemDevice(identity, daxDevice, this.#parts);
    this.#kernel.print(`${name}: detected capacity change from 0 to ${media.size}`);
    return device;
  }

  /**
   * A devdax namespace: the media as a device-dax, without a block device. [PATCH 16/17]
   *
   * @throws {KernelError} as {@link attachDisk}; EINVAL for an alignment that does not fit.
   */
  attachDevDax(request: DevDaxAttachRequest): DevDax {
    const { media, name = 'dax0.0' } = request;
    checkMedia(media);
    const physical = request.physical ?? this.#parts.nvdimm.nextFree();
    this.#parts.nvdimm.checkFree(physical, media.size);
    const alignment = request.alignment ?? LARGE_PAGE_SIZE;
    const device = this.#takeSlot();
    if (!this.#plug(device, physical, request)) {
      this.#devres.releaseAll(device);
      throw heldTooMuch(device);
    }
    return devDaxProbe(this.#kernel, { name, device, physical, size: media.size, alignment });
  }

  /** Unbinds a devdax namespace: waits for faults under way, unmaps, and takes the media away. May sleep. */
  detachDevDax(device: DevDax): void {
    if (this.#parts.nvdimm.slotAt(device.physical) >= 0) device.remove();
  }

  /** The lowest free slot, which is the device's number for devres too. */
  #takeSlot(): number {
    for (let id = 0; id < PMEM_DEVICES_MAX; id++) {
      if (this.#used.exchange(id, 1) !== 0) continue;
      if (this.#devres.addAction(id, this.#actions.freeSlot, id) < 0) throw heldTooMuch(id);
      return id;
    }
    throw new KernelError(ENOSPC, `pmem: all ${PMEM_DEVICES_MAX} devices are in use`);
  }

  /** The memory is there until the device is released; what was stored in it is on the media then. */
  #plug(id: number, physical: number, request: AttachRequest | DevDaxAttachRequest): boolean {
    const { media, onMediaError = () => {} } = request;
    const persistence = ('persistence' in request && request.persistence) || 'adr';
    this.#parts.nvdimm.plug(id, { physical, media, persistence, onMediaError });
    return this.#devres.addAction(id, this.#actions.unplug, id) === 0;
  }

  #map(id: number, physical: number, size: number, mode: NamespaceMode): Pagemap | KernelError {
    if (mode === 'raw') {
      // devm_memremap: the flag was set, but nothing looks at it here.
      const { mm } = this.#kernel;
      const address = mm.directAddress(physical);
      mm.map(address, physical, size, PAGE_KERNEL_PROT);
      if (this.#devres.addAction(id, this.#actions.unmapRaw, id) < 0) return heldTooMuch(id);
      return { id: -1, address, pkey: 0 };
    }
    const flags = this.#protects ? this.#pagemaps.protectionFlags : 0;
    const map = { physical, size, type: MemoryType.fsDax, flags };
    return this.#devres.tryMemremapPages(id, map);
  }

  /** pmem_dax_ops */
  #operations(target: Target, { size, physical, queue }: PmemIdentity): DaxOperations {
    const { machine, transfer, queues } = this.#parts;
    return {
      directAccess: (pgoff, nrPages) => {
        const offset = pgoff * PAGE_SIZE;
        if (offset < 0 || offset >= size) return -ERANGE;
        const pages = Math.min(nrPages, (size - offset) / PAGE_SIZE);
        if (transfer.isBad(target.id, offset, pages * PAGE_SIZE)) return -EIO;
        return { address: target.address + offset, pfn: (physical + offset) / PAGE_SIZE, pages };
      },
      copyFromIter: (_pgoff, address, bytes, iter) =>
        iter.copyFromFlushcache(machine, address, bytes),
      copyToIter: (_pgoff, address, bytes, iter) => {
        const copied = iter.copyTo(machine, address, bytes);
        return transfer.failedUnder(target.id, address - target.address, bytes) ? 0 : copied;
      },
      zeroPageRange: (pgoff, nrPages) => {
        const offset = pgoff * PAGE_SIZE;
        if (offset < 0 || offset + nrPages * PAGE_SIZE > size) return -EIO;
        if (!queues.enter(target.id, queue)) return -EIO;
        const status = transfer.writeZeroes(target, offset, nrPages * PAGE_SIZE);
        queues.exit(target.id);
        return status;
      },
      mapProtected: () => target.pagemap.pkey !== 0,
      mkReadwrite: () => void this.#access.enable(),
      mkNoaccess: () => void this.#access.disable(),
    };
  }

  #detach(device: PmemDevice, queue: number): void {
    const { queues } = this.#parts;
    if (!queues.setDying(device.id, queue)) return;
    if (this.#detachOrder === 'unmapFirst') this.#kernel.mm.unmap(device.address, device.size);
    queues.waitUntilEmpty(device.id);
    this.#devres.releaseAll(device.id);
  }
}

function heldTooMuch(id: number): KernelError {
  return new KernelError(ENOMEM, `pmem: device ${id} holds too much: release some of it first`);
}

/** pmem as a boot module; needs pks-core, memremap, kmap and dax. */
export const pmem: KernelModule<PmemDriver> = {
  name: 'pmem',
  ...pmemChoices,
  create: (kernel) => new PmemDriver(kernel),
};
