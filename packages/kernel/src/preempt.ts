// SPDX-License-Identifier: MIT
// The preempt count of each CPU. include/linux/preempt.h

import { type FieldDefinition, type Machine, PerCpu } from '@pkslab/x86-cpu';

const preemptCountField: FieldDefinition = {
  name: '__preempt_count',
  type: 'u32',
  initial: 0,
  per: 'cpu',
};
const needReschedField: FieldDefinition = {
  name: 'need_resched',
  type: 'bool',
  initial: 0,
  per: 'cpu',
};

export const SOFTIRQ_OFFSET: number = 1 << 8;
export const HARDIRQ_OFFSET: number = 1 << 16;
export const NMI_OFFSET: number = 1 << 20;
/** Hardirq, softirq and NMI counts. */
export const INTERRUPT_MASK = 0xffff00;

/**
 * preempt_count() of each CPU: nested preempt_disable, softirq, hardirq and NMI, in one word.
 *
 * Use `disable` and `enable` around what must stay on its CPU. The word is the CPU's, not the task's: a task
 * never leaves a CPU while it is not 0.
 */
export class Preempt {
  readonly count: PerCpu;
  readonly needResched: PerCpu;

  constructor(machine: Machine) {
    this.count = new PerCpu(machine.column(preemptCountField));
    this.needResched = new PerCpu(machine.column(needReschedField));
  }

  /** preempt_disable: one instruction. */
  disable(): void {
    this.count.inc();
  }

  /** preempt_enable. A reschedule that fell due meanwhile happens at the next interrupt's exit. */
  enable(): void {
    this.count.dec();
  }

  /** in_interrupt(): hardirq, softirq or NMI. */
  get inInterrupt(): boolean {
    return (this.count.read() & INTERRUPT_MASK) !== 0;
  }

  /** in_atomic() */
  get inAtomic(): boolean {
    return this.count.read() !== 0;
  }
}
