// SPDX-License-Identifier: MIT
// struct dax_device. drivers/dax/super.c

import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import type { IovIter } from './iov-iter.ts';

/** How many dax devices a kernel has room for. */
export const DAX_DEVICES_MAX = 16;

// Bits of dax_device.flags.
export const DAXDEV_ALIVE = 0; // clear once kill_dax was called
export const DAXDEV_WRITE_CACHE = 1; // dax_flush has to write lines back
export const DAXDEV_SYNC = 2; // stores need no metadata commit of the file system

/** dax_device.flags: which of the bits are set. */
export const daxFlagsField: FieldDefinition = {
  name: 'dax_device.flags',
  type: 'u8',
  initial: 0,
  per: 'object',
  count: DAX_DEVICES_MAX,
};

/** dax_device slots in use. */
export const daxUsedField: FieldDefinition = {
  name: 'dax_device.used',
  type: 'bool',
  initial: 0,
  per: 'object',
  count: DAX_DEVICES_MAX,
};

/** dax_device.pgmap: the page map of its memory, plus 1; 0 for none. V9 on */
export const daxPagemapField: FieldDefinition = {
  name: 'dax_device.pgmap',
  type: 'u8',
  initial: 0,
  per: 'object',
  count: DAX_DEVICES_MAX,
};

/** Where pages of a device are: for use under dax_read_lock only. */
export interface DirectAccess {
  /** Kernel address of the first page. */
  readonly address: number;
  readonly pfn: number;
  /** How many pages follow without a gap, this one included. */
  readonly pages: number;
}

/** struct dax_operations: what the driver of a device does. Offsets and counts are in pages of 4 KiB. */
export interface DaxOperations {
  /** −ERANGE beyond the device, −EIO over bad blocks. */
  directAccess(pgoff: number, nrPages: number): DirectAccess | number;
  /** Both give the number of bytes copied. */
  copyFromIter(pgoff: number, address: number, bytes: number, iter: IovIter): number;
  copyToIter(pgoff: number, address: number, bytes: number, iter: IovIter): number;
  zeroPageRange(pgoff: number, nrPages: number): number;
  /** map_protected, mk_readwrite, mk_noaccess: V7's, of a driver whose memory may be protected. */
  mapProtected?(): boolean;
  mkReadwrite?(): void;
  mkNoaccess?(): void;
}

/** The columns of all devices. */
export interface DaxDeviceCells {
  readonly flags: Column;
  readonly pagemap: Column;
}

/** struct dax_device: a view of one slot; all that changes is in cells. */
export class DaxDevice {
  readonly id: number;
  readonly name: string;
  readonly operations: DaxOperations;
  readonly #flags: Column;
  readonly #pagemap: Column;

  constructor(id: number, name: string, operations: DaxOperations, cells: DaxDeviceCells) {
    this.id = id;
    this.name = name;
    this.operations = operations;
    this.#flags = cells.flags;
    this.#pagemap = cells.pagemap;
  }

  /** The number of the page map that `setPagemap` gave it; −1 for none. */
  get pagemap(): number {
    return this.#pagemap.get(this.id) - 1;
  }

  /** test_bit of the device's flags. */
  flag(bit: number): boolean {
    return ((this.#flags.get(this.id) >>> bit) & 1) === 1;
  }

  /** set_bit or clear_bit: one instruction. */
  setFlag(bit: number, on: boolean): void {
    if (on) this.#flags.testAndSetBit(this.id, bit);
    else this.#flags.testAndClearBit(this.id, bit);
  }
}
