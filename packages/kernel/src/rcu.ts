// SPDX-License-Identifier: MIT
// Whether RCU watches a CPU: it does not while the CPU is idle. kernel/rcu/tree.c

import { type FieldDefinition, type Machine, PerCpu } from '@pkslab/x86-cpu';

/** rcu_data.dynticks_nesting and dynticks_nmi_nesting in one: 0 while RCU does not watch the CPU. */
export const rcuNestingField: FieldDefinition = {
  name: 'rcu_data.dynticks_nesting',
  type: 'i32',
  initial: 1,
  per: 'cpu',
};

/**
 * RCU's view of each CPU: its code may use RCU (and be traced) while `nesting` is not 0.
 *
 * Only the idle loop leaves; an entry that interrupts the idle task comes back for as long as it lasts.
 */
export class Rcu {
  readonly nesting: PerCpu;

  constructor(machine: Machine) {
    this.nesting = new PerCpu(machine.column(rcuNestingField));
  }

  /** rcu_is_watching() on the executing CPU. */
  get isWatching(): boolean {
    return this.nesting.read() !== 0;
  }

  /** rcu_idle_enter */
  idleEnter(): void {
    this.nesting.dec();
  }

  /** rcu_idle_exit */
  idleExit(): void {
    this.nesting.inc();
  }

  /** rcu_irq_enter, rcu_nmi_enter: an entry interrupted the idle task. */
  entryEnter(): void {
    this.nesting.inc();
  }

  /** rcu_irq_exit, rcu_nmi_exit */
  entryExit(): void {
    this.nesting.dec();
  }

  /** rcu_cpu_starting: a CPU that comes up is watched from its first code on. */
  cpuStarting(): void {
    this.nesting.write(1);
  }
}
