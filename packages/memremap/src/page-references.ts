// SPDX-License-Identifier: MIT
// Who holds pages of device memory: page->_refcount and dev_pagemap->ref. mm/memremap.c, percpu-refcount

import { ENOMEM, type Kernel, KernelError, type SpinLock } from '@pkslab/kernel';
import type { Column, Machine } from '@pkslab/x86-cpu';

/**
 * Pages of device memory that may be held at a time, in sets of which a page's number picks one: the first to be
 * looked at, and the only one unless it is full.
 */
const SETS = 32;
const WAYS = 8;
export const HELD_PAGES_MAX: number = SETS * WAYS;

/**
 * References to pages of device memory beyond the one that each has from its map.
 *
 * A page that nobody holds takes no memory: 1 TiB has 2^28 of them.
 */
export class PageReferences {
  readonly #kernel: Kernel;
  readonly #machine: Machine;
  /** dev_pagemap->ref: what is held of a map beyond its own. */
  readonly #ref: Column;
  /** percpu_ref_is_dying */
  readonly #dying: Column;
  /** pfn plus 1 of each held page, and how often it is held; 0: free. */
  readonly #pfn: Column;
  readonly #count: Column;
  /** Pages of each set that are held in another's slots. */
  readonly #strays: Column;
  readonly #lock: SpinLock;

  constructor(kernel: Kernel, maps: number) {
    const { machine } = kernel;
    this.#kernel = kernel;
    this.#machine = machine;
    const object = { initial: 0, per: 'object' } as const;
    this.#ref = machine.column({ ...object, name: 'dev_pagemap.ref', type: 'u32', count: maps });
    this.#dying = machine.column({
      ...object,
      name: 'dev_pagemap.ref.dying',
      type: 'bool',
      count: maps,
    });
    const held = { ...object, count: HELD_PAGES_MAX };
    this.#pfn = machine.column({ ...held, name: 'page.held_pfn', type: 'address' });
    this.#count = machine.column({ ...held, name: 'page._refcount', type: 'u32' });
    this.#strays = machine.column({
      ...object,
      name: 'page.held_elsewhere',
      type: 'u8',
      count: SETS,
    });
    this.#lock = kernel.spinLock('page_ref_lock');
  }

  /** percpu_ref_init: the map is live, and only it holds its pages. */
  revive(map: number): void {
    this.#dying.set(map, 0);
  }

  /**
   * get_dev_pagemap and get_page: false for a map that is going away.
   *
   * @throws {KernelError} ENOMEM where {@link HELD_PAGES_MAX} pages are held, which no kernel counts.
   */
  get(map: number, pfn: number): boolean {
    const flags = this.#machine.pushfCli();
    this.#lock.lock();
    const lives = this.#dying.get(map) === 0;
    const slot = lives ? this.#slotFor(pfn) : -1;
    if (slot >= 0) {
      this.#hold(slot, pfn);
      this.#ref.add(map, 1);
    }
    this.#lock.unlock();
    this.#machine.popfIf(flags);
    if (lives && slot < 0) {
      throw new KernelError(ENOMEM, `memremap: ${HELD_PAGES_MAX} pages are held: put some first`);
    }
    return lives;
  }

  /**
   * put_page: how often the page is still held, 0 for an idle one; −1, with a WARN, where nobody held it. The
   * map's reference stays until {@link putMap}.
   */
  put(pfn: number): number {
    const flags = this.#machine.pushfCli();
    this.#lock.lock();
    const slot = this.#held(pfn);
    let left = -1;
    if (slot >= 0) {
      left = this.#count.add(slot, -1);
      if (left === 0) this.#free(slot, pfn);
    } else {
      this.#kernel.oops.warn(`memremap: put_page of pfn 0x${pfn.toString(16)}, which is not held`);
    }
    this.#lock.unlock();
    this.#machine.popfIf(flags);
    return left;
  }

  /** put_dev_pagemap */
  putMap(map: number): void {
    this.#ref.add(map, -1);
  }

  /** page_ref_count: 1 for a page that only its map holds. */
  count(pfn: number): number {
    const slot = this.#held(pfn);
    return slot < 0 ? 1 : 1 + this.#count.get(slot);
  }

  /** percpu_ref_kill: no new reference is given; false where that was done before. */
  kill(map: number): boolean {
    const flags = this.#machine.pushfCli();
    this.#lock.lock();
    const first = this.#dying.exchange(map, 1) === 0;
    this.#lock.unlock();
    this.#machine.popfIf(flags);
    return first;
  }

  /** Sleeps until the last reference of a killed map is put. */
  wait(map: number): void {
    while (this.#ref.get(map) !== 0) this.#kernel.sched.sleepUntil(this.#ref, map, 0);
  }

  #hold(slot: number, pfn: number): void {
    this.#pfn.set(slot, pfn + 1);
    if (this.#count.add(slot, 1) === 1 && isStray(slot, pfn)) this.#strays.add(pfn % SETS, 1);
  }

  #free(slot: number, pfn: number): void {
    this.#pfn.set(slot, 0);
    if (isStray(slot, pfn)) this.#strays.add(pfn % SETS, -1);
  }

  /** The slot of a held page, or −1. */
  #held(pfn: number): number {
    const set = pfn % SETS;
    const slot = this.#findIn(set, pfn + 1);
    return slot >= 0 || this.#strays.get(set) === 0 ? slot : this.#findOutside(set, pfn + 1);
  }

  /** The page's slot, or a free one, of its set if it can be; −1 where all are taken. */
  #slotFor(pfn: number): number {
    const held = this.#held(pfn);
    if (held >= 0) return held;
    const free = this.#findIn(pfn % SETS, 0);
    return free >= 0 ? free : this.#findOutside(pfn % SETS, 0);
  }

  #findIn(set: number, value: number): number {
    const first = set * WAYS;
    for (let slot = first; slot < first + WAYS; slot++) {
      if (this.#pfn.get(slot) === value) return slot;
    }
    return -1;
  }

  #findOutside(set: number, value: number): number {
    let slot = -1;
    for (let other = 0; slot < 0 && other < SETS; other++) {
      if (other !== set) slot = this.#findIn(other, value);
    }
    return slot;
  }
}

/** Whether a page's slot is another set's. */
function isStray(slot: number, pfn: number): boolean {
  return Math.floor(slot / WAYS) !== pfn % SETS;
}
