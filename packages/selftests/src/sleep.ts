// SPDX-License-Identifier: MIT
// sleep(3) in simulated time: nothing passes while anybody can run, so only the order of deadlines counts.

import type { Kernel } from '@pkslab/kernel';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';

/** When a sleeping task is to go on, in seconds since boot; 0 while it does not sleep. */
const deadlineField: FieldDefinition = {
  name: 'sleep.deadline',
  type: 'u32',
  initial: 0,
  per: 'task',
};
const nowField: FieldDefinition = { name: 'sleep.now', type: 'u32', initial: 0, per: 'global' };

export class SleepTimer {
  readonly #kernel: Kernel;
  readonly #deadline: Column;
  readonly #now: Column;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#deadline = kernel.machine.column(deadlineField);
    this.#now = kernel.machine.column(nowField);
  }

  /** sleep: gives up the CPU for some seconds, at least 1. */
  sleep(seconds: number): void {
    const me = this.#kernel.tasks.current;
    this.#deadline.set(me, this.#now.get(0) + seconds);
    this.#kernel.sched.sleepUntil(this.#deadline, me, 0);
  }

  /** Runs every task, and moves the time on whenever all of them sleep, until none is left asleep here. */
  run(): void {
    this.#kernel.run();
    for (let next = this.#earliest(); next !== 0; next = this.#earliest()) {
      this.#now.poke(0, next);
      for (const [task, deadline] of this.#deadline.values.entries()) {
        if (deadline === next) this.#deadline.poke(task, 0);
      }
      this.#kernel.run();
    }
  }

  #earliest(): number {
    const deadlines = [...this.#deadline.values].filter((deadline) => deadline !== 0);
    return deadlines.length === 0 ? 0 : Math.min(...deadlines);
  }
}
