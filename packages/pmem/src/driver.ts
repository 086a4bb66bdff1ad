// SPDX-License-Identifier: MIT
// The nvdimm pmem driver. drivers/nvdimm/pmem.c

import { type Dax, type DaxOperations, type DevDax, dax, devDaxProbe } from '@pkslab/dax';
import {
  EINVAL,
  EIO,
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
  MemoryType,
  memremap,
  type Pagemap,
  type Pagemaps,
} from '@pkslab/memremap';
import { type Column, LARGE_PAGE_SIZE, PAGE_SIZE } from '@pkslab/x86-cpu';
import { BadBlocks } from './bad-blocks.ts';
import { type DetachOrder, pmemChoices } from './choices.ts';
import type { Media } from './media.ts';
import { Nvdimm } from './nvdimm.ts';
import { PmemDevice, type PmemIdentity, type PmemParts } from './pmem-device.ts';
import { RequestQueues } from './request-queue.ts';
import { type Target, Transfer } from './transfer.ts';

/** How many pmem devices a kernel has room for. */
export const PMEM_DEVICES_MAX = 16;

/** What a namespace is: with struct pages, so that it can be protected and mapped, or without. */
export type NamespaceMode = 'fsdax' | 'raw';

export interface AttachRequest {
  readonly media: Media;
  /** Physical address, a multiple of 128 MiB above RAM; default behind what there is, from 4 GiB on. */
  readonly physical?: number;
  /** Default `pmem0`, `pmem1`, … */
  readonly name?: string;
  /** Default `fsdax`. A raw namespace has no struct pages and no protection. */
  readonly mode?: NamespaceMode;
  /** Default what the media say. */
  readonly readOnly?: boolean;
}

export interface DevDaxAttachRequest {
  readonly media: Media;
  readonly physical?: number;
  /** Default `dax0.0`. */
  readonly name?: string;
  /** Bytes of the pages that it maps: 4096, 2 MiB (default) or 1 GiB. */
  readonly alignment?: number;
}

export class PmemDriver {
  readonly #kernel: Kernel;
  readonly #dax: Dax;
  readonly #access: DevAccess;
  readonly #pagemaps: Pagemaps;
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
    const badBlocks = new BadBlocks(kernel, PMEM_DEVICES_MAX);
    this.#parts = {
      machine,
      kmap: kernel.module(kmap),
      nvdimm: new Nvdimm(kernel),
      transfer: new Transfer(kernel, badBlocks),
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
    this.#protects = kernel.choice('pmemProtection') === 'set';
    this.#detachOrder = kernel.choice('detachOrder') as DetachOrder;
  }

  /**
   * pmem_attach_disk: makes a block device and a dax device of media; may sleep. [PATCH 16/17]
   *
   * Protection is asked for before anything is mapped, and without an option: every namespace with struct pages
   * gets the device key.
   *
   * @throws {KernelError} EINVAL for a size or address that does not fit, EBUSY where something is there
   * already, ENOSPC past 16 devices.
   * @example
   * const kernel = boot({ modules: [pksCore, memremap, kmap, dax, pmem] });
   * const device = kernel.call(() => kernel.module(pmem).attachDisk({ media: memoryMedia(2 ** 24) }));
   * device.pagemap.pkey; // => 1
   */
  attachDisk(request: AttachRequest): PmemDevice {
    const { media, mode = 'fsdax' } = request;
    const { nvdimm, queues } = this.#parts;
    if (media.size <= 0 || media.size % PAGE_SIZE !== 0) {
      throw new KernelError(
        EINVAL,
        `pmem: media of ${media.size} bytes; give a positive multiple of ${PAGE_SIZE}`,
      );
    }
    const physical = request.physical ?? nvdimm.nextFree();
    nvdimm.checkFree(physical, media.size);
    this.#checkRoom();
    const pagemap = this.#map(physical, media.size, mode);
    const id = this.#takeSlot();
    nvdimm.plug(id, physical, media);
    const name = request.name ?? `pmem${id}`;
    const readOnly = request.readOnly ?? media.readOnly ?? false;
    const queue = queues.create(id);
    const identity = { id, name, size: media.size, physical, pagemap, readOnly, queue };
    const operations = this.#operations({ id, address: pagemap.address, pagemap }, identity);
    const daxDevice = this.#dax.allocDax({ name, operations });
    if (pagemap.id >= 0) this.#dax.setPagemap(daxDevice, pagemap);
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
    const physical = request.physical ?? this.#parts.nvdimm.nextFree();
    this.#parts.nvdimm.checkFree(physical, media.size);
    this.#checkRoom();
    const alignment = request.alignment ?? LARGE_PAGE_SIZE;
    const probe = { name, physical, size: media.size, alignment };
    const device = devDaxProbe(this.#kernel, probe);
    const id = this.#takeSlot();
    this.#parts.nvdimm.plug(id, physical, media);
    return device;
  }

  /** Unbinds a devdax namespace: waits for faults under way, unmaps, and takes the media away. May sleep. */
  detachDevDax(device: DevDax): void {
    const { nvdimm } = this.#parts;
    const id = nvdimm.slotAt(device.physical);
    if (id < 0) return;
    device.remove(this.#pagemaps);
    nvdimm.drain(id);
    nvdimm.flush(id);
    nvdimm.unplug(id);
    this.#used.set(id, 0);
  }

  /** Before anything is mapped: whether there is a slot at all. */
  #checkRoom(): void {
    for (let id = 0; id < PMEM_DEVICES_MAX; id++) if (this.#used.get(id) === 0) return;
    throw new KernelError(ENOSPC, `pmem: all ${PMEM_DEVICES_MAX} devices are in use`);
  }

  #takeSlot(): number {
    let id = 0;
    while (this.#used.exchange(id, 1) !== 0) id = (id + 1) % PMEM_DEVICES_MAX;
    return id;
  }

  #map(physical: number, size: number, mode: NamespaceMode): Pagemap {
    if (mode === 'raw') {
      // devm_memremap: the flag was set, but nothing looks at it here.
      const { mm } = this.#kernel;
      const address = mm.directAddress(physical);
      mm.map(address, physical, size, PAGE_KERNEL_PROT);
      return { id: -1, address, pkey: 0 };
    }
    const flags = this.#protects ? this.#pagemaps.protectionFlags : 0;
    return this.#pagemaps.memremapPages({ physical, size, type: MemoryType.fsDax, flags });
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
      copyToIter: (_pgoff, address, bytes, iter) => iter.copyTo(machine, address, bytes),
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
    const { queues, nvdimm, badBlocks } = this.#parts;
    if (!queues.setDying(device.id, queue)) return;
    if (this.#detachOrder === 'unmapFirst') this.#unmap(device);
    queues.waitUntilEmpty(device.id);
    this.#dax.killDax(device.dax);
    if (this.#detachOrder === 'drainFirst') this.#unmap(device);
    nvdimm.drain(device.id);
    nvdimm.flush(device.id);
    nvdimm.unplug(device.id);
    badBlocks.reset(device.id);
    this.#dax.putDax(device.dax);
    this.#used.set(device.id, 0);
  }

  #unmap(device: PmemDevice): void {
    if (device.pagemap.id >= 0) this.#pagemaps.memunmapPages(device.pagemap);
    else this.#kernel.mm.unmap(device.address, device.size);
  }
}

/** pmem as a boot module; needs pks-core, memremap, kmap and dax. */
export const pmem: KernelModule<PmemDriver> = {
  name: 'pmem',
  ...pmemChoices,
  create: (kernel) => new PmemDriver(kernel),
};
