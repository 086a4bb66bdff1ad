// SPDX-License-Identifier: MIT
// Whether a file system may use a device directly. [PATCH 11/17] drivers/dax: Expand lock scope to cover the
// use of addresses

import type { Kernel } from '@pkslab/kernel';
import { memremap, type Pagemaps } from '@pkslab/memremap';
import { PAGE_SIZE } from '@pkslab/x86-cpu';
import type { DaxDevice, DirectAccess } from './device.ts';

/** What is needed of the dax core here. */
export interface DaxAccess {
  readLock(): number;
  readUnlock(id: number): void;
  readonly accessScope: boolean;
  directAccess(device: DaxDevice, pgoff: number, nrPages: number): DirectAccess | number;
}

export class FsdaxSupport {
  readonly #kernel: Kernel;
  readonly #dax: DaxAccess;
  readonly #pagemaps: Pagemaps;
  readonly #narrow: boolean;

  constructor(kernel: Kernel, dax: DaxAccess) {
    this.#kernel = kernel;
    this.#dax = dax;
    this.#pagemaps = kernel.module(memremap).pagemaps;
    this.#narrow = kernel.choice('supportedScope') === 'narrow';
  }

  /** __generic_fsdax_supported: `start` and `length` are bytes of the device. */
  supported(device: DaxDevice, blockSize: number, start: number, length: number): boolean {
    if (blockSize !== PAGE_SIZE) return false;
    if (start % PAGE_SIZE !== 0 || length < PAGE_SIZE) return false;
    const first = start / PAGE_SIZE;
    const last = Math.floor((start + length) / PAGE_SIZE) - 1;
    const id = this.#dax.readLock();
    const begin = this.#dax.directAccess(device, first, 1);
    const end = this.#dax.directAccess(device, last, 1);
    if (this.#narrow) this.#dax.readUnlock(id);
    const usable = typeof begin !== 'number' && typeof end !== 'number' && this.#usable(begin, end);
    if (!this.#narrow) this.#dax.readUnlock(id);
    return usable;
  }

  /** Both ends have struct pages of one page map, and can be read; later kernels look at no memory here. */
  #usable(begin: DirectAccess, end: DirectAccess): boolean {
    const pagemap = this.#pagemaps.pgmapOf(begin.pfn);
    if (pagemap < 0 || pagemap !== this.#pagemaps.pgmapOf(end.pfn)) return false;
    if (this.#dax.accessScope) return true;
    const { machine } = this.#kernel;
    machine.load8(begin.address);
    machine.load8(end.address);
    return true;
  }
}
