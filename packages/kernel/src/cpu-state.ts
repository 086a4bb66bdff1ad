// SPDX-License-Identifier: MIT
// Which CPUs there are to run code on, and how far each has come up or gone down. kernel/cpu.c

import { type Column, type FieldDefinition, type Machine, PerCpu } from '@pkslab/x86-cpu';

/** cpu_online_mask: a bit a CPU; CPU 0 boots. */
const onlineField: FieldDefinition = {
  name: 'cpu_online_mask',
  type: 'u32',
  initial: 1,
  per: 'global',
};
/** cpu_active_mask: CPUs that the scheduler may give tasks to. */
const activeField: FieldDefinition = {
  name: 'cpu_active_mask',
  type: 'u32',
  initial: 1,
  per: 'global',
};
const stateField: FieldDefinition = { name: 'cpu_state', type: 'u8', initial: 0, per: 'cpu' };
const numberField: FieldDefinition = { name: 'cpu_number', type: 'u8', initial: 0, per: 'cpu' };

/** per_cpu(cpu_state): what a CPU does that may go away. */
export const CpuState = { online: 0, leaving: 1, dead: 2, callout: 3 } as const;

/** The CPU masks of a kernel, and each CPU's number and state. */
export class CpuStates {
  readonly online: Column;
  readonly active: Column;
  readonly state: Column;
  readonly ownState: PerCpu;
  readonly #number: PerCpu;

  constructor(machine: Machine) {
    this.online = machine.column(onlineField);
    this.active = machine.column(activeField);
    this.state = machine.column(stateField);
    this.ownState = new PerCpu(this.state);
    const number = machine.column(numberField);
    for (const { index } of machine.cpus) number.values[index] = index;
    this.#number = new PerCpu(number);
  }

  /** smp_processor_id(): for code that cannot migrate, which is why no event comes before the read. */
  get own(): number {
    return this.#number.readLocal();
  }

  /** cpu_online() */
  isOnline(cpu: number): boolean {
    return ((this.online.get(0) >>> cpu) & 1) !== 0;
  }

  /** Whether tasks may run on a CPU: read with the scheduler's choice, which is one step. */
  takesTasks(cpu: number): boolean {
    return (((this.active.values[0] as number) >>> cpu) & 1) !== 0;
  }

  /** Whether a halted CPU was told to go. */
  isLeaving(cpu: number): boolean {
    return this.state.values[cpu] === CpuState.leaving;
  }

  /** Whether a CPU waits for INIT. */
  isDead(cpu: number): boolean {
    return this.state.values[cpu] === CpuState.dead;
  }
}
