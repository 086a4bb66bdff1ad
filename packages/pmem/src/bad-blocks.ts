// SPDX-License-Identifier: MIT
// The list of bad blocks of a device. block/badblocks.c

import type { Kernel, SpinLock } from '@pkslab/kernel';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';

/** Bytes of a sector, the unit of the list. */
export const SECTOR_SIZE = 512;
const RANGES_PER_DEVICE = 64;

/** A run of bad sectors. */
export interface BadRange {
  readonly sector: number;
  readonly count: number;
}

/**
 * Bad sectors of every device. Readers take no lock: a range is published by its length and goes by its length,
 * and a writer first adds what stays and then takes away what goes, so that a reader may see too much of a list
 * but never too little.
 */
export class BadBlocks {
  readonly #used: Column;
  readonly #start: Column;
  readonly #length: Column;
  readonly #lock: SpinLock;

  constructor(kernel: Kernel, devices: number) {
    const field = (name: string, type: FieldDefinition['type'], count: number): Column =>
      kernel.machine.column({ name: `badblocks.${name}`, type, initial: 0, per: 'object', count });
    this.#used = field('used', 'u16', devices);
    this.#start = field('start', 'address', devices * RANGES_PER_DEVICE);
    this.#length = field('length', 'address', devices * RANGES_PER_DEVICE);
    this.#lock = kernel.spinLock('badblocks.lock');
  }

  /** Whether there was ever a bad sector: one operation. */
  any(device: number): boolean {
    return this.#used.get(device) !== 0;
  }

  /** badblocks_check: whether any of the sectors is bad. */
  check(device: number, sector: number, count: number): boolean {
    const used = this.#used.get(device);
    for (let slot = 0; slot < used; slot++) {
      const at = device * RANGES_PER_DEVICE + slot;
      const length = this.#length.get(at);
      if (length === 0) continue;
      const start = this.#start.get(at);
      if (start < sector + count && sector < start + length) return true;
    }
    return false;
  }

  /** badblocks_set: false where the list is full. */
  set(device: number, sector: number, count: number): boolean {
    this.#lock.lock();
    const added = this.#add(device, sector, count);
    this.#lock.unlock();
    return added;
  }

  /** badblocks_clear: the sectors are good again. */
  clear(device: number, sector: number, count: number): void {
    this.#lock.lock();
    const used = this.#used.get(device);
    for (let slot = 0; slot < used; slot++) {
      this.#cut(device, device * RANGES_PER_DEVICE + slot, sector, sector + count);
    }
    this.#lock.unlock();
  }

  /** What sysfs shows in `badblocks`, in the order of the sectors. */
  ranges(device: number): readonly BadRange[] {
    const found: BadRange[] = [];
    const used = this.#used.get(device);
    for (let slot = 0; slot < used; slot++) {
      const at = device * RANGES_PER_DEVICE + slot;
      const count = this.#length.get(at);
      if (count > 0) found.push({ sector: this.#start.get(at), count });
    }
    return found.sort((a, b) => a.sector - b.sector);
  }

  /** Empties the list of a device that goes. */
  reset(device: number): void {
    this.#used.set(device, 0);
  }

  #add(device: number, sector: number, count: number): boolean {
    const used = this.#used.get(device);
    for (let slot = 0; slot < RANGES_PER_DEVICE; slot++) {
      const at = device * RANGES_PER_DEVICE + slot;
      if (slot < used && this.#length.get(at) !== 0) continue;
      this.#start.set(at, sector);
      this.#length.set(at, count);
      if (slot >= used) this.#used.set(device, slot + 1);
      return true;
    }
    return false;
  }

  #cut(device: number, at: number, from: number, to: number): void {
    const length = this.#length.get(at);
    const start = this.#start.get(at);
    const end = start + length;
    if (length === 0 || end <= from || start >= to) return;
    // Without room for what stays behind the cut, all of the range stays bad: too much, never too little.
    if (end > to && !this.#add(device, to, end - to)) return;
    this.#length.set(at, Math.max(0, from - start));
  }
}
