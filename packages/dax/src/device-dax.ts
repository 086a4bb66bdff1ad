// SPDX-License-Identifier: MIT
// device-dax: a character device that maps memory and nothing else. drivers/dax/device.c
// [PATCH 16/17] [dax|pmem]: Enable stray write protection

import {
  EINVAL,
  ENFILE,
  ENOMEM,
  ENXIO,
  type Kernel,
  KernelError,
  type VmArea,
  type VmFaultResult,
  type VmFile,
} from '@pkslab/kernel';
import { type Devres, MemoryType, memremap, type Pagemap } from '@pkslab/memremap';
import { LARGE_PAGE_SIZE, PAGE_SIZE } from '@pkslab/x86-cpu';
import { type Dax, dax } from './dax.ts';
import type { DaxDevice, DaxOperations } from './device.ts';

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

/** What a device-dax is made of. */
interface DevDaxParts {
  readonly kernel: Kernel;
  readonly device: DaxDevice;
  readonly pagemap: Pagemap;
  readonly core: Dax;
  readonly devres: Devres;
}

/**
 * A device-dax: a view. Made by {@link devDaxProbe}; a program maps it as a file.
 *
 * @example
 * const physical = 0x2_0000_0000;
 * kernel.machine.memory.addRegion(physical, 2 ** 21, { read() {}, write() {} });
 * const request = { name: 'dax0.0', device: 1, physical, size: 2 ** 21 };
 * const found = kernel.call(() => devDaxProbe(kernel, request));
 * const { machine, userMm } = kernel;
 * const map = { file: found.file, length: found.size, writable: true };
 * const address = kernel.call(() => userMm.mmap(map));
 * kernel.call(() => userMm.run(() => machine.store32(address, 7)));
 * kernel.call(() => userMm.run(() => machine.load32(address))); // => 7
 */
export class DevDax implements VmFile {
  readonly device: DaxDevice;
  readonly pagemap: Pagemap;
  readonly physical: number;
  readonly size: number;
  readonly alignment: number;
  /** What {@link UserMm.mmap} knows it by. */
  readonly file: number;
  readonly #kernel: Kernel;
  readonly #dax: Dax;
  readonly #release: () => void;

  constructor(request: Required<DevDaxRequest>, parts: DevDaxParts) {
    const { device, pagemap, core, devres } = parts;
    this.device = device;
    this.pagemap = pagemap;
    this.physical = request.physical;
    this.size = request.size;
    this.alignment = request.alignment;
    this.#kernel = parts.kernel;
    this.file = parts.kernel.userMm.open(this);
    this.#dax = core;
    this.#release = () => devres.releaseAll(request.device);
  }

  /** dax_mmap: 0, −ENXIO for a dead device, −EINVAL for a private mapping or one that is not made of whole pages. */
  mmap(area: VmArea): number {
    // The device may die behind this; a fault looks again.
    const id = this.#dax.readLock();
    const error = this.#checkVma(area, 'dax_mmap');
    this.#dax.readUnlock(id);
    return error;
  }

  /** check_vma */
  #checkVma({ start, end, shared }: VmArea, by: string): number {
    if (!this.#dax.daxAlive(this.device)) return -ENXIO;
    if (!shared) return this.#refuse(by, 'attempted private mapping');
    if (start % this.alignment !== 0 || end % this.alignment !== 0) {
      const [from, to, mask] = [start, end, this.alignment - 1].map((value) => value.toString(16));
      return this.#refuse(by, `unaligned vma (0x${from} - 0x${to}, 0x${mask})`);
    }
    return 0;
  }

  #refuse(by: string, why: string): number {
    const { tasks } = this.#kernel;
    const comm = tasks.nameOf(tasks.current);
    this.#kernel.print(`device_dax ${this.device.name}: ${comm}: ${by}: fail, ${why}`);
    return -EINVAL;
  }

  /** dev_dax_huge_fault: a leaf of the size of the device's alignment; a larger one falls back to it. */
  hugeFault(area: VmArea, address: number, size: number, write: boolean): VmFaultResult {
    const id = this.#dax.readLock();
    const result = this.#fault(area, address, size, write);
    this.#dax.readUnlock(id);
    return result;
  }

  /** __dev_dax_pte_fault, __dev_dax_pmd_fault, __dev_dax_pud_fault */
  #fault(area: VmArea, address: number, size: number, write: boolean): VmFaultResult {
    if (this.#checkVma(area, 'dev_dax_huge_fault') < 0) return 'sigbus';
    if (size < this.alignment) return 'sigbus';
    if (size > this.alignment) return 'fallback';
    const start = address - (address % size);
    if (start < area.start || start + size > area.end) return 'sigbus';
    const physical = this.#pgoffToPhys(area.offset + start - area.start, size);
    if (physical < 0) return 'sigbus';
    return this.#kernel.userMm.insertPfn(area, start, physical / PAGE_SIZE, size, write);
  }

  /** dax_pgoff_to_phys: −1 beyond the end, and where a leaf of the size cannot start. */
  #pgoffToPhys(offset: number, size: number): number {
    return offset + size > this.size || offset % size !== 0 ? -1 : this.physical + offset;
  }

  /** The last mapping is gone, after the device. */
  release(): void {
    this.#dax.putDax(this.device);
  }

  /**
   * dev_dax_remove: kills the device, waits for faults under way, takes its leaves out of the page tables of
   * programs, and unmaps it. May sleep. What a program still maps is SIGBUS from then on.
   */
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
 * @example
 * const physical = 0x2_0000_0000;
 * kernel.machine.memory.addRegion(physical, 2 ** 21, { read() {}, write() {} });
 * const request = { name: 'dax0.0', device: 1, physical, size: 2 ** 21 };
 * const found = kernel.call(() => devDaxProbe(kernel, request));
 * found.pagemap.pkey; // => 1
 * kernel.call(() => found.remove());
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
  core.setPagemap(device, pagemap);
  const result = new DevDax(request, { kernel, device, pagemap, core, devres });
  if (result.file < 0) {
    core.putDax(device);
    return new KernelError(ENFILE, `${name}: too many files are mapped: unmap some`);
  }
  // kill_dev_dax comes first at the release: after it no fault puts in a leaf, so none is left behind.
  const { actions } = core;
  const held =
    devres.addAction(request.device, actions.closeFile, result.file) === 0 &&
    devres.addAction(request.device, actions.kill, device.id) === 0;
  if (held) return result;
  return new KernelError(ENOMEM, `${name}: its device holds too much: release some of it first`);
}

/** Nobody but its own faults reaches the memory of a device-dax. */
const NO_OPERATIONS: DaxOperations = {
  directAccess: () => -EINVAL,
  copyFromIter: () => 0,
  copyToIter: () => 0,
  zeroPageRange: () => -EINVAL,
};
