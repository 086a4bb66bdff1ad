// SPDX-License-Identifier: MIT
// pks_key_allocation_map, a bit a key: under a mutex in RFC V2 [PATCH 05/17], without a lock in RFC V3.

import type { Kernel, Mutex } from '@pkslab/kernel';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import { PKS_NUM_KEYS } from './pkr.ts';

/** pks_key_allocation_map; bit 0 is the kernel's own key. */
const allocationMapField: FieldDefinition = {
  name: 'pks_key_allocation_map',
  type: 'u32',
  initial: 1,
  per: 'global',
};

/** The upper half of pks_key_allocation_map, which is an unsigned long: no key is there, but bits are set. */
const upperMapField: FieldDefinition = {
  name: 'pks_key_allocation_map.upper',
  type: 'u32',
  initial: 0,
  per: 'global',
};

/** How keys are found and taken. */
export abstract class KeyMap {
  protected readonly map: Column;

  constructor(kernel: Kernel) {
    this.map = kernel.machine.column(allocationMapField);
  }

  read(): number {
    return this.map.get(0);
  }

  isTaken(pkey: number): boolean {
    return ((this.read() >>> pkey) & 1) === 1;
  }

  abstract lock(): void;
  abstract unlock(): void;
  /** The lowest free key, or a number from PKS_NUM_KEYS on. */
  abstract take(): number;
  abstract giveBack(pkey: number): void;
}

/** Everything under pks_lock. */
class MutexKeyMap extends KeyMap {
  readonly #lock: Mutex;

  constructor(kernel: Kernel) {
    super(kernel);
    this.#lock = kernel.mutex('pks_lock');
  }

  lock(): void {
    this.#lock.lock();
  }

  unlock(): void {
    this.#lock.unlock();
  }

  take(): number {
    let nr: number;
    do nr = firstZero(this.read());
    while (nr < PKS_NUM_KEYS && this.map.testAndSetBit(0, nr) !== 0);
    return nr;
  }

  giveBack(pkey: number): void {
    this.map.testAndClearBit(0, pkey);
  }
}

/**
 * As posted: the bit is taken before anybody asks whether there is such a key, and stays set where there is none.
 * After 48 of those the map is full, and what ffz gives then is not defined: here 64, and nothing behind the map is
 * touched. [PATCH 05/17]
 */
class PostedKeyMap extends MutexKeyMap {
  readonly #upper: Column;

  constructor(kernel: Kernel) {
    super(kernel);
    this.#upper = kernel.machine.column(upperMapField);
  }

  override take(): number {
    let nr: number;
    do nr = this.#firstZero();
    while (nr < 64 && this.#testAndSet(nr) !== 0);
    return nr;
  }

  #firstZero(): number {
    const low = firstZero(this.read());
    return low < 32 ? low : 32 + firstZero(this.#upper.get(0));
  }

  #testAndSet(nr: number): number {
    return nr < 32 ? this.map.testAndSetBit(0, nr) : this.#upper.testAndSetBit(0, nr - 32);
  }
}

/** find_first_zero_bit and test_and_set_bit_lock, no mutex; the bit goes back by __clear_bit. RFC V3 */
class LocklessKeyMap extends KeyMap {
  readonly #locked: boolean;

  constructor(kernel: Kernel) {
    super(kernel);
    this.#locked = kernel.choice('clearBit') === 'locked';
  }

  lock(): void {}
  unlock(): void {}

  take(): number {
    let nr: number;
    do nr = Math.min(firstZero(this.read()), PKS_NUM_KEYS);
    while (nr < PKS_NUM_KEYS && this.map.testAndSetBit(0, nr) !== 0);
    return nr;
  }

  /**
   * Not atomic between CPUs: an alloc elsewhere between the read and the write is undone. An interrupt cannot come
   * between them on hardware, where it is one instruction without a lock prefix.
   */
  giveBack(pkey: number): void {
    if (this.#locked) this.map.testAndClearBit(0, pkey);
    else this.map.set(0, (this.read() & ~(1 << pkey)) >>> 0);
  }
}

/** ffz: the lowest clear bit. */
function firstZero(map: number): number {
  let bit = 0;
  while (bit < 32 && ((map >>> bit) & 1) === 1) bit++;
  return bit;
}

const MAPS: Readonly<Record<string, new (kernel: Kernel) => KeyMap>> = {
  v2Bitmap: PostedKeyMap,
  bitmap: MutexKeyMap,
  locklessBitmap: LocklessKeyMap,
};

/** The map of the choice `keyAlloc`, where keys are allocated. */
export function keyMapOf(choice: string, kernel: Kernel): KeyMap {
  const KeyMapOfChoice = MAPS[choice] ?? MutexKeyMap;
  return new KeyMapOfChoice(kernel);
}
