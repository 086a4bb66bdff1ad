// SPDX-License-Identifier: MIT
// kmap as the later postings have it. RFC PKS/PMEM (9 October 2020), V7, V9, V10

import { type Kernel, PAGE_OFFSET } from '@pkslab/kernel';
import { type GlobalAccess, memremap } from '@pkslab/memremap';
import { type Column, PAGE_SIZE } from '@pkslab/x86-cpu';
import { Kmap } from './kmap.ts';

/**
 * RFC PKS/PMEM: kmap opens the page to every task, and kmap_thread to the caller.
 *
 * Who was forgotten in the conversion from one to the other is found at exit (DEBUG_KMAP_THREAD, D-55).
 */
export class GlobalKmap extends Kmap {
  readonly #global: GlobalAccess;
  /** task->kmap_thread_cnt */
  readonly #threadCount: Column;

  constructor(kernel: Kernel) {
    super(kernel);
    this.#global = kernel.module(memremap).globalAccess;
    this.#threadCount = kernel.machine.column({
      name: 'kmap_thread_cnt',
      type: 'i32',
      initial: 0,
      per: 'task',
    });
    kernel.slots.exit.push((task) => {
      if (this.#threadCount.get(task) !== 0) kernel.oops.warn('Failed to kunmap_thread()');
    });
  }

  override kmap(pfn: number): number {
    this.mightSleep();
    if (this.pagemaps?.pageIsAccessProtected(pfn) === true) this.#global.enable();
    return PAGE_OFFSET + pfn * PAGE_SIZE;
  }

  override kunmap(pfn: number): void {
    if (this.pagemaps?.pageIsAccessProtected(pfn) === true) this.#global.disable();
  }

  override kmapThread(pfn: number): number {
    this.#threadCount.add(this.kernel.tasks.current, 1);
    return super.kmap(pfn);
  }

  override kunmapThread(pfn: number): void {
    super.kunmap(pfn);
    this.#threadCount.add(this.kernel.tasks.current, -1);
  }
}

/** V9, V10: kmap is left alone, since nobody can follow its addresses. */
export class UnsupportedKmap extends Kmap {
  override kmap(pfn: number): number {
    this.mightSleep();
    return PAGE_OFFSET + pfn * PAGE_SIZE;
  }

  override kunmap(_pfn: number): void {}
}

/** V7: kmap of a protected page is flagged, and gives no access. The text of the WARN is this project's. */
export class FlaggedKmap extends UnsupportedKmap {
  override kmap(pfn: number): number {
    const address = super.kmap(pfn);
    // pgmap_protection_flag_invalid
    if (this.pagemaps?.pageIsAccessProtected(pfn) === true) {
      this.kernel.oops.warnOnce('kmap: invalid for a page with PGMAP_PROTECTION');
    }
    return address;
  }
}
