// SPDX-License-Identifier: MIT
// All CPUs stand still while one of them works. kernel/stop_machine.c

import type { Column, FieldDefinition, Machine } from '@pkslab/x86-cpu';
import type { CpuStates } from './cpu-state.ts';
import type { Entry } from './entry.ts';
import type { Mutex } from './lock.ts';
import type { Preempt } from './preempt.ts';
import { CALL_FUNCTION_VECTOR } from './vectors.ts';

/** multi_stop_data.state: whether stopped CPUs stay so. */
const stoppedField: FieldDefinition = {
  name: 'multi_stop.state',
  type: 'bool',
  initial: 0,
  per: 'global',
};
/** CPUs that stand still. */
const arrivedField: FieldDefinition = {
  name: 'multi_stop.num_threads',
  type: 'u8',
  initial: 0,
  per: 'global',
};

/** What stopping needs of the kernel. */
export interface StopMachineParts {
  readonly machine: Machine;
  readonly cpus: CpuStates;
  readonly preempt: Preempt;
  readonly entry: Entry;
  /** cpu_hotplug_lock: no CPU comes or goes meanwhile, and one at a time stops the others. */
  readonly lock: Mutex;
}

/** `kernel.stopMachine` has it. */
export class StopMachine {
  readonly #parts: StopMachineParts;
  readonly #stopped: Column;
  readonly #arrived: Column;

  constructor(parts: StopMachineParts) {
    this.#parts = parts;
    this.#stopped = parts.machine.column(stoppedField);
    this.#arrived = parts.machine.column(arrivedField);
    parts.entry.requestIrq(CALL_FUNCTION_VECTOR, () => this.#stand());
  }

  /**
   * stop_machine: runs a function with interrupts off while every other CPU that is online stands in an interrupt.
   *
   * Use it from a task that may sleep, for what no other CPU may see half done. Linux stops CPUs in threads of their
   * own; here an IPI does, so that code with preemption off and interrupts on may be stopped in its middle. NMIs still
   * arrive.
   *
   * @example
   * const kernel = boot({ cpus: 2 });
   * const { interruptFlag } = kernel.machine.registers;
   * let flags: number[] = [];
   * kernel.call(() => kernel.stopMachine.run(() => { flags = [...interruptFlag.values]; }));
   * flags; // => [0, 0]
   */
  run(work: () => void): void {
    const { machine, preempt, lock } = this.#parts;
    lock.lock();
    preempt.disable();
    this.#stopped.set(0, 1);
    this.#arrived.wait(0, this.#interruptOthers());
    const flag = machine.pushfCli();
    work();
    machine.popfIf(flag);
    this.#stopped.set(0, 0);
    // One that still stands would take the next stop for this one.
    this.#arrived.wait(0, 0);
    preempt.enable();
    lock.unlock();
  }

  /** How many there are to wait for. */
  #interruptOthers(): number {
    const { machine, cpus } = this.#parts;
    const me = cpus.own;
    let others = 0;
    for (const { index } of machine.cpus) {
      if (index === me || !cpus.isOnline(index)) continue;
      machine.sendIpi(index, CALL_FUNCTION_VECTOR);
      others++;
    }
    return others;
  }

  #stand(): void {
    this.#arrived.add(0, 1);
    this.#stopped.wait(0, 0);
    this.#arrived.add(0, -1);
  }
}
