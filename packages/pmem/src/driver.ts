// SPDX-License-Identifier: MIT
// The nvdimm pmem driver. drivers/nvdimm/pmem.c

import { type Dax, type DaxOperations, dax } from '@pkslab/dax';
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
  MemoryType,
  memremap,
  type Pagemap,
  type Pagemaps,
  PGMAP_PROT_ENABLED,
} from '@pkslab/memremap';
import { type Column, PAGE_SIZE } from '@pkslab/x86-cpu';
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

export class PmemDriver {
  readonly #kernel: Kernel;
  readonly #dax: Dax;
  readonly #pagemaps: Pagemaps;
  readonly #parts: PmemParts;
  readonly #used: Column;
  readonly #flags: number;
  readonly #detachOrder: DetachOrder;

  constructor(kernel: Kernel) {
    const { machine } = kernel;
    this.#kernel = kernel;
    this.#dax = kernel.module(dax);
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
    this.#flags = kernel.choice('pmemProtection') === 'set' ? PGMAP_PROT_ENABLED : 0;
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
    const id = this.#takeSlot();
    const pagemap = this.#map(physical, media.size, mode);
    nvdimm.plug(id, physical, media);
    const name = request.name ?? `pmem${id}`;
    const readOnly = request.readOnly ?? media.readOnly ?? false;
    const queue = queues.create(id);
    const identity = { id, name, size: media.size, physical, pagemap, readOnly, queue };
    const operations = this.#operations({ id, address: pagemap.address }, identity);
    const device = new PmemDevice(identity, this.#dax.allocDax({ name, operations }), this.#parts);
    this.#kernel.print(`${name}: detected capacity change from 0 to ${media.size}`);
    return device;
  }

  #takeSlot(): number {
    for (let id = 0; id < PMEM_DEVICES_MAX; id++) {
      if (this.#used.exchange(id, 1) === 0) return id;
    }
    throw new KernelError(ENOSPC, `pmem: all ${PMEM_DEVICES_MAX} devices are in use`);
  }

  #map(physical: number, size: number, mode: NamespaceMode): Pagemap {
    if (mode === 'raw') {
      // devm_memremap: the flag was set, but nothing looks at it here.
      const { mm } = this.#kernel;
      const address = mm.directAddress(physical);
      mm.map(address, physical, size, PAGE_KERNEL_PROT);
      return { id: -1, address, pkey: 0 };
    }
    const flags = this.#flags;
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
