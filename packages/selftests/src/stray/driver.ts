// SPDX-License-Identifier: MIT
// The buggy driver: kernel code that writes where it should not.

import type { Kernel } from '@pkslab/kernel';
import type { Column } from '@pkslab/x86-cpu';

/** The buggy device's interrupt vector. */
export const STRAY_VECTOR = 0x41;

/** Threads of the driver: one bound to each CPU of the demo. */
const THREADS = 2;

/** Where stray write number `n` goes and what it writes: pure, since a handler may be run again. */
export interface StrayAim {
  address(n: number): number;
  value(n: number): number;
}

/**
 * A driver that computes wrong addresses. Its store has an exception-table entry, as copy_to_kernel_nofault
 * has: where it is refused it gets an error, in any context.
 *
 * Everything it keeps is in cells, so its counts are exact however often its code is unwound and run again.
 */
export class StrayDriver {
  /** Stray writes begun; the next one's number. */
  readonly issued: Column;
  /** Stores that came back as refused, and stores that came back as done. */
  readonly refused: Column;
  readonly done: Column;
  /** Set to 1 to make a thread write once; the thread clears it. */
  readonly wake: Column;
  readonly #kernel: Kernel;
  readonly #aim: StrayAim;

  constructor(kernel: Kernel, aim: StrayAim) {
    const { machine } = kernel;
    this.#kernel = kernel;
    this.#aim = aim;
    const counter = (name: string): Column =>
      machine.column({ name: `stray_driver.${name}`, type: 'u32', initial: 0, per: 'global' });
    this.issued = counter('issued');
    this.refused = counter('refused');
    this.done = counter('done');
    this.wake = machine.column({
      name: 'stray_driver.wake',
      type: 'bool',
      initial: 0,
      per: 'object',
      count: THREADS,
    });
    kernel.entry.requestIrq(STRAY_VECTOR, () => this.#write());
    kernel.entry.registerNmi(() => this.#write());
  }

  /** Starts the driver's threads; they sleep until woken. */
  startThreads(): void {
    for (let i = 0; i < THREADS; i++) {
      const calls = [() => this.#thread(i)];
      this.#kernel.spawnCode({ name: `stray/${i}`, calls, loop: true, cpu: i });
    }
  }

  #thread(index: number): void {
    while (this.wake.get(index) === 0) this.#kernel.sched.sleepUntil(this.wake, index, 1);
    this.#write();
    this.wake.set(index, 0);
  }

  #write(): void {
    const n = this.issued.add(0, 1) - 1;
    const refused = this.#kernel.machine.tryStore32(this.#aim.address(n), this.#aim.value(n));
    (refused ? this.refused : this.done).add(0, 1);
  }
}
