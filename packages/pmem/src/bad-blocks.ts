// SPDX-License-Identifier: MIT
// The list of bad blocks of a device. block/badblocks.c

import type { Kernel, SpinLock } from '@pkslab/kernel';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';

/** Bytes of a sector, the unit of the list. */
export const SECTOR_SIZE = 512;
/** MAX_BADBLOCKS: a page of entries of 8 bytes. */
const RANGES_PER_DEVICE = 512;
/** One more, in which what is merged appears before its parts go. */
const SLOTS_PER_DEVICE: number = RANGES_PER_DEVICE + 1;

/** A run of bad sectors. */
export interface BadRange {
  readonly sector: number;
  readonly count: number;
}

/**
 * Bad sectors of every device, all of them acknowledged, as the pmem driver sets them. Ranges neither overlap nor
 * adjoin: what is set is merged with what it touches.
 *
 * Readers take no lock, for they may be in a handler that interrupted a writer. A writer first adds what stays and
 * then takes away what goes, and counts a change before each of the two; a reader that finds another count at its
 * end looks again. So it sees the list of before, or of after, or both: a slot that it had passed was not given
 * what another one lost, and one half of an entry that is used again does not go with the other half of its past.
 */
export class BadBlocks {
  readonly #used: Column;
  readonly #changes: Column;
  readonly #start: Column;
  readonly #length: Column;
  readonly #lock: SpinLock;

  constructor(kernel: Kernel, devices: number) {
    const field = (name: string, type: FieldDefinition['type'], count: number): Column =>
      kernel.machine.column({ name: `badblocks.${name}`, type, initial: 0, per: 'object', count });
    this.#used = field('used', 'u16', devices);
    this.#changes = field('seq', 'u32', devices);
    this.#start = field('start', 'address', devices * SLOTS_PER_DEVICE);
    this.#length = field('length', 'address', devices * SLOTS_PER_DEVICE);
    this.#lock = kernel.spinLock('badblocks.lock');
  }

  /** Whether there was ever a bad sector: one operation. */
  any(device: number): boolean {
    return this.#used.get(device) !== 0;
  }

  /** badblocks_check: whether any of the sectors is bad. */
  check(device: number, sector: number, count: number): boolean {
    for (;;) {
      const changes = this.#changes.get(device);
      const bad = this.#look(device, sector, count);
      if (this.#changes.get(device) === changes) return bad;
    }
  }

  #look(device: number, sector: number, count: number): boolean {
    const used = this.#used.get(device);
    for (let slot = 0; slot < used; slot++) {
      const at = device * SLOTS_PER_DEVICE + slot;
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
    const added = this.#merge(device, sector, sector + count);
    this.#lock.unlock();
    return added;
  }

  /** badblocks_clear: the sectors are good again. */
  clear(device: number, sector: number, count: number): void {
    this.#lock.lock();
    const used = this.#used.get(device);
    for (let slot = 0; slot < used; slot++) {
      this.#cut(device, device * SLOTS_PER_DEVICE + slot, sector, sector + count);
    }
    this.#lock.unlock();
  }

  /** badblocks_show: what sysfs shows in `badblocks`, in the order of the sectors. */
  ranges(device: number): readonly BadRange[] {
    const found: BadRange[] = [];
    this.#lock.lock();
    const used = this.#used.get(device);
    for (let slot = 0; slot < used; slot++) {
      const at = device * SLOTS_PER_DEVICE + slot;
      const count = this.#length.get(at);
      if (count > 0) found.push({ sector: this.#start.get(at), count });
    }
    this.#lock.unlock();
    return found.sort((a, b) => a.sector - b.sector);
  }

  /** Empties the list of a device that goes. */
  reset(device: number): void {
    this.#used.set(device, 0);
  }

  /** Sets a range, and what it touches goes into it. One look is enough: no two of the others touch. */
  #merge(device: number, from: number, to: number): boolean {
    const absorbed: number[] = [];
    let [first, end, live] = [from, to, 0];
    const used = this.#used.get(device);
    for (let slot = 0; slot < used; slot++) {
      const at = device * SLOTS_PER_DEVICE + slot;
      const length = this.#length.get(at);
      if (length === 0) continue;
      live++;
      const start = this.#start.get(at);
      if (start > to || start + length < from) continue;
      if (start <= from && start + length >= to) return true;
      absorbed.push(at);
      first = Math.min(first, start);
      end = Math.max(end, start + length);
    }
    if (live - absorbed.length >= RANGES_PER_DEVICE) return false;
    this.#add(device, first, end - first);
    for (const at of absorbed) this.#length.set(at, 0);
    return true;
  }

  /** Takes a part of a range away, which leaves up to two. */
  #cut(device: number, at: number, from: number, to: number): void {
    const length = this.#length.get(at);
    const start = this.#start.get(at);
    const end = start + length;
    if (length === 0 || end <= from || start >= to) return;
    if (end > to) {
      // Without room for both, all of the range stays bad: too much, never too little.
      if (start < from && this.#live(device) >= RANGES_PER_DEVICE) return;
      this.#add(device, to, end - to);
    }
    this.#length.set(at, Math.max(0, from - start));
  }

  #live(device: number): number {
    let live = 0;
    const used = this.#used.get(device);
    for (let slot = 0; slot < used; slot++) {
      if (this.#length.get(device * SLOTS_PER_DEVICE + slot) !== 0) live++;
    }
    return live;
  }

  /** Into a slot that is free: there is one, as long as no more than the ranges are in use. */
  #add(device: number, sector: number, count: number): void {
    const used = this.#used.get(device);
    let slot = 0;
    while (slot < used && this.#length.get(device * SLOTS_PER_DEVICE + slot) !== 0) slot++;
    const at = device * SLOTS_PER_DEVICE + slot;
    this.#changes.add(device, 1);
    this.#start.set(at, sector);
    this.#length.set(at, count);
    if (slot >= used) this.#used.set(device, slot + 1);
    this.#changes.add(device, 1);
  }
}
