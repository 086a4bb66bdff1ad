// SPDX-License-Identifier: MIT
// Who holds pages of device memory: page->_refcount and dev_pagemap->ref. mm/memremap.c, percpu-refcount

import type { Kernel, SpinLock } from '@pkslab/kernel';
import type { Column, Machine } from '@pkslab/x86-cpu';

/** Pages of device memory that may be held at a time, in sets of which a page's number picks one. */
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
    this.#lock = kernel.spinLock('page_ref_lock');
  }

  /** percpu_ref_init: the map is live, and only it holds its pages. */
  revive(map: number): void {
    this.#dying.set(map, 0);
  }

  /** get_dev_pagemap and get_page: false for a map that is going away, and with a WARN where no slot is free. */
  get(map: number, pfn: number): boolean {
    const flags = this.#machine.pushfCli();
    this.#lock.lock();
    const slot = this.#dying.get(map) === 0 ? this.#slotOf(pfn) : -1;
    if (slot >= 0) {
      this.#pfn.set(slot, pfn + 1);
      this.#count.add(slot, 1);
      this.#ref.add(map, 1);
    }
    this.#lock.unlock();
    this.#machine.popfIf(flags);
    return slot >= 0;
  }

  /** put_page: how often the page is still held, 0 for an idle one; −1, with a WARN, where nobody held it. */
  put(map: number, pfn: number): number {
    const flags = this.#machine.pushfCli();
    this.#lock.lock();
    const slot = this.#held(pfn);
    let left = -1;
    if (slot >= 0) {
      left = this.#count.add(slot, -1);
      if (left === 0) this.#pfn.set(slot, 0);
      this.#ref.add(map, -1);
    } else {
      this.#kernel.oops.warn(`memremap: put_page of pfn 0x${pfn.toString(16)}, which is not held`);
    }
    this.#lock.unlock();
    this.#machine.popfIf(flags);
    return left;
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

  #held(pfn: number): number {
    return this.#find(pfn, pfn + 1);
  }

  /** The page's slot, or a free one of its set. */
  #slotOf(pfn: number): number {
    const held = this.#held(pfn);
    const slot = held >= 0 ? held : this.#find(pfn, 0);
    if (slot < 0) {
      this.#kernel.oops.warn(
        `memremap: ${WAYS} pages of the set of pfn 0x${pfn.toString(16)} are held`,
      );
    }
    return slot;
  }

  #find(pfn: number, value: number): number {
    const first = (pfn % SETS) * WAYS;
    for (let slot = first; slot < first + WAYS; slot++) {
      if (this.#pfn.get(slot) === value) return slot;
    }
    return -1;
  }
}
