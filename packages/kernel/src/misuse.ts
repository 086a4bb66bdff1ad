// SPDX-License-Identifier: MIT
// What the kernel says of calls in the wrong place or order. kernel/sched/core.c, kernel/exit.c, kernel/locking/

import type { Machine } from '@pkslab/x86-cpu';
import type { Oops } from './oops.ts';
import type { PrintkRing } from './printk.ts';
import type { SchedMisuse } from './sched.ts';
import type { Tasks } from './task.ts';

/** Whether what 5.8 lets pass without its debugging options is refused with a WARN. */
export type MisuseChecks = 'none' | 'warn';

/** What reports of misuse need of the kernel. */
export interface MisuseParts {
  readonly machine: Machine;
  readonly tasks: Tasks;
  readonly printk: PrintkRing;
  readonly oops: Oops;
  readonly checks: MisuseChecks;
}

/** Reports of misuse; the caller does what keeps the kernel whole. */
export class Misuse implements SchedMisuse {
  /** Whether locks and schedule() check their callers. */
  readonly checks: boolean;
  readonly #parts: MisuseParts;

  constructor(parts: MisuseParts) {
    this.#parts = parts;
    this.checks = parts.checks === 'warn';
  }

  /** `name/pid` of the calling task. */
  get #caller(): string {
    const { tasks } = this.#parts;
    return `${tasks.nameOf(tasks.current)}/${tasks.current}`;
  }

  /** __schedule_bug */
  scheduleWhileAtomic(count: number): void {
    const hex = count.toString(16).padStart(8, '0');
    this.#parts.oops.bug(`BUG: scheduling while atomic: ${this.#caller}/0x${hex}`);
  }

  /** do_exit() of a task that leaves preemption off. */
  exitedAtomic(count: number): void {
    const { tasks, printk } = this.#parts;
    const task = tasks.current;
    printk.print(`note: ${tasks.nameOf(task)}[${task}] exited with preempt_count ${count}`);
  }

  scheduleWithIrqsOff(): void {
    this.#parts.oops.warn(`schedule() with interrupts off: ${this.#caller}`);
  }

  /** debug_mutex_unlock */
  mutexNotOwned(lock: string): void {
    const why = 'DEBUG_LOCKS_WARN_ON(__owner_task(lock->owner) != current)';
    this.#parts.oops.warn(`${why}: ${this.#caller} unlocks ${lock}`);
  }

  /** lockdep's report of a task that waits for itself. */
  mutexRecursion(lock: string): void {
    this.#parts.oops.warn(
      `possible recursive locking detected: ${this.#caller} is trying to acquire ${lock}, which it holds`,
    );
  }

  /** debug_spin_unlock */
  spinLockNotLocked(lock: string): void {
    this.#spinBug('already unlocked', lock);
  }

  /** debug_spin_unlock */
  spinLockWrongCpu(lock: string): void {
    this.#spinBug('wrong CPU', lock);
  }

  /** spin_bug */
  #spinBug(what: string, lock: string): void {
    const cpu = this.#parts.machine.cpu.index;
    this.#parts.oops.warn(`BUG: spinlock ${what} on CPU#${cpu}, ${this.#caller}: ${lock}`);
  }
}
