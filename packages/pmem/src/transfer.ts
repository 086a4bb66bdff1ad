// SPDX-License-Identifier: MIT
// One copy to or from the device's memory, within one page. [PATCH 15/17] nvdimm/pmem: Stray access protection
// for pmem->virt_addr

import { EIO, type Kernel } from '@pkslab/kernel';
import { type DevAccess, memremap, type Pagemap } from '@pkslab/memremap';
import { EXTABLE, type Machine } from '@pkslab/x86-cpu';
import { type BadBlocks, SECTOR_SIZE } from './bad-blocks.ts';
import type { PmemGrant } from './choices.ts';
import type { MediaErrors } from './media-errors.ts';

/** Where the device is mapped, and which list of bad blocks is its. */
export interface Target {
  readonly id: number;
  /** virt_addr */
  readonly address: number;
  readonly pagemap: Pagemap;
}

/** Whether the driver opens access for a device, by `pmemGrant`. */
const GRANTS: Readonly<Record<PmemGrant, (target: Target) => boolean>> = Object.freeze({
  on: () => true,
  flagged: ({ pagemap }: Target) => pagemap.pkey !== 0,
  off: () => false,
});

export class Transfer {
  readonly #machine: Machine;
  readonly #access: DevAccess;
  readonly #badBlocks: BadBlocks;
  readonly #errors: MediaErrors;
  readonly #grants: (target: Target) => boolean;
  readonly #writesBack: boolean;

  constructor(kernel: Kernel, badBlocks: BadBlocks, errors: MediaErrors) {
    this.#machine = kernel.machine;
    this.#access = kernel.module(memremap).access;
    this.#badBlocks = badBlocks;
    this.#errors = errors;
    this.#grants = GRANTS[kernel.choice('pmemGrant') as PmemGrant];
    this.#writesBack = kernel.choice('writeBack') === 'done';
  }

  /** is_bad_pmem: whether any sector of a byte range is bad. */
  isBad(id: number, offset: number, length: number): boolean {
    if (!this.#badBlocks.any(id)) return false;
    const first = Math.floor(offset / SECTOR_SIZE);
    const last = Math.floor((offset + length - 1) / SECTOR_SIZE);
    return this.#badBlocks.check(id, first, last - first + 1);
  }

  /**
   * Whether the media failed under a copy that was just made: what they reported is in the list then. As long as it has
   * no room every copy has failed: too much, never too little.
   */
  failedUnder(id: number, offset: number, length: number): boolean {
    const absorbed = this.#errors.absorb(id, this.#badBlocks);
    return absorbed === 'full' || (absorbed === 'listed' && this.isBad(id, offset, length));
  }

  /**
   * pmem_do_read into a host buffer. The copy has an exception-table entry (memcpy_mcsafe): an access that is
   * refused is an error of the device, not an oops.
   */
  read(target: Target, offset: number, into: Uint8Array, at: number, length: number): number {
    if (this.isBad(target.id, offset, length)) return -EIO;
    if (this.#grants(target)) this.#access.enable();
    const refused = this.#machine.copyOut(target.address + offset, into, at, length, EXTABLE);
    if (this.#grants(target)) this.#access.disable();
    return refused || this.failedUnder(target.id, offset, length) ? -EIO : 0;
  }

  /** pmem_do_read into kernel memory, a page of a bio that is mapped already. */
  readTo(target: Target, offset: number, to: number, length: number): number {
    if (this.isBad(target.id, offset, length)) return -EIO;
    if (this.#grants(target)) this.#access.enable();
    const refused = this.#machine.copy(to, target.address + offset, length, true);
    if (this.#grants(target)) this.#access.disable();
    return refused || this.failedUnder(target.id, offset, length) ? -EIO : 0;
  }

  /** pmem_do_write from a host buffer. */
  write(target: Target, offset: number, from: Uint8Array, at: number, length: number): number {
    const bad = this.isBad(target.id, offset, length);
    if (this.#grants(target)) this.#access.enable();
    this.#machine.copyIn(target.address + offset, from, at, length);
    let error = 0;
    if (bad || this.failedUnder(target.id, offset, length)) {
      error = this.clearPoison(target.id, offset, length);
      this.#machine.copyIn(target.address + offset, from, at, length);
    }
    if (this.#writesBack) this.#machine.clwb(target.address + offset, length);
    if (this.#grants(target)) this.#access.disable();
    return error;
  }

  /** pmem_do_write from kernel memory. */
  writeFrom(target: Target, offset: number, from: number, length: number): number {
    const bad = this.isBad(target.id, offset, length);
    if (this.#grants(target)) this.#access.enable();
    this.#machine.copy(target.address + offset, from, length);
    let error = 0;
    if (bad || this.failedUnder(target.id, offset, length)) {
      error = this.clearPoison(target.id, offset, length);
      this.#machine.copy(target.address + offset, from, length);
    }
    if (this.#writesBack) this.#machine.clwb(target.address + offset, length);
    if (this.#grants(target)) this.#access.disable();
    return error;
  }

  /** pmem_do_write of the zero page. */
  writeZeroes(target: Target, offset: number, length: number): number {
    const bad = this.isBad(target.id, offset, length);
    if (this.#grants(target)) this.#access.enable();
    this.#machine.fill(target.address + offset, 0, length);
    let error = 0;
    if (bad || this.failedUnder(target.id, offset, length)) {
      error = this.clearPoison(target.id, offset, length);
      this.#machine.fill(target.address + offset, 0, length);
    }
    if (this.#writesBack) this.#machine.clwb(target.address + offset, length);
    if (this.#grants(target)) this.#access.disable();
    return error;
  }

  /** pmem_clear_poison: the device clears whole sectors; −EIO where a bad one is left. */
  clearPoison(id: number, offset: number, length: number): number {
    const first = Math.ceil(offset / SECTOR_SIZE);
    const end = Math.floor((offset + length) / SECTOR_SIZE);
    if (end > first) this.#badBlocks.clear(id, first, end - first);
    return this.isBad(id, offset, length) ? -EIO : 0;
  }
}
