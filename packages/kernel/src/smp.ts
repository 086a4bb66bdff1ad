// SPDX-License-Identifier: MIT
// Function calls on other CPUs by IPI. kernel/smp.c, arch/x86/lib/msr-smp.c

import { type Column, type FieldDefinition, type Machine, PerCpu } from '@pkslab/x86-cpu';
import type { CpuStates } from './cpu-state.ts';
import type { Entry } from './entry.ts';
import { ENXIO } from './errno.ts';
import type { Oops } from './oops.ts';
import { INTERRUPT_MASK, type Preempt } from './preempt.ts';
import { CALL_FUNCTION_SINGLE_VECTOR } from './vectors.ts';

// call_single_data of each CPU: what it asks another one to do. A bit in the other's queue says that it asks.
const csdLockedField: FieldDefinition = {
  name: 'csd.flags',
  type: 'bool',
  initial: 0,
  per: 'cpu',
};
const csdFunctionField: FieldDefinition = { name: 'csd.func', type: 'u16', initial: 0, per: 'cpu' };
const csdInfoField: FieldDefinition = { name: 'csd.info', type: 'address', initial: 0, per: 'cpu' };
const queueField: FieldDefinition = {
  name: 'call_single_queue',
  type: 'u32',
  initial: 0,
  per: 'cpu',
};
/** Callers that have found a CPU online and are not done with it: it goes offline only after them. */
const callersField: FieldDefinition = {
  name: 'call_single_callers',
  type: 'i32',
  initial: 0,
  per: 'cpu',
};
// struct msr_info of each calling CPU.
const msrNumberField: FieldDefinition = {
  name: 'msr_info.msr_no',
  type: 'u32',
  initial: 0,
  per: 'cpu',
};
const msrValueField: FieldDefinition = {
  name: 'msr_info.reg',
  type: 'u32',
  initial: 0,
  per: 'cpu',
};

/** A function that other CPUs may be asked to run: its number, from {@link Smp.register}. */
export type SmpFunction = number;

/** What calls on other CPUs need of the kernel. */
export interface SmpParts {
  readonly machine: Machine;
  readonly cpus: CpuStates;
  readonly preempt: Preempt;
  readonly entry: Entry;
  readonly oops: Oops;
}

/**
 * Runs functions on other CPUs: the request is in cells, the IPI waits until the other CPU has IF=1.
 *
 * `kernel.smp` has it.
 */
export class Smp {
  readonly #parts: SmpParts;
  readonly #functions: ((info: number) => void)[] = [];
  readonly #locked: Column;
  readonly #function: Column;
  readonly #info: Column;
  readonly #queue: PerCpu;
  readonly #callers: Column;
  readonly #msrNumber: Column;
  readonly #msrValue: Column;
  readonly #interruptFlag: PerCpu;
  readonly #readMsr: SmpFunction;
  readonly #writeMsr: SmpFunction;

  constructor(parts: SmpParts) {
    const { machine, entry } = parts;
    this.#parts = parts;
    this.#locked = machine.column(csdLockedField);
    this.#function = machine.column(csdFunctionField);
    this.#info = machine.column(csdInfoField);
    this.#queue = new PerCpu(machine.column(queueField));
    this.#callers = machine.column(callersField);
    this.#msrNumber = machine.column(msrNumberField);
    this.#msrValue = machine.column(msrValueField);
    this.#interruptFlag = new PerCpu(machine.registers.interruptFlag);
    entry.requestIrq(CALL_FUNCTION_SINGLE_VECTOR, () => this.#flushQueue());
    const [number, value] = [this.#msrNumber, this.#msrValue];
    this.#readMsr = this.register((me) => value.set(me, machine.rdmsr(number.get(me))));
    this.#writeMsr = this.register((me) => machine.wrmsr(number.get(me), value.get(me)));
  }

  /** Gives a function a number by which CPUs can ask for it; at boot, in `KernelModule.create`. */
  register(run: (info: number) => void): SmpFunction {
    return this.#functions.push(run) - 1;
  }

  /**
   * smp_call_function_single: runs a function on a CPU, in interrupt context, and waits for its end.
   *
   * Use it from a task with interrupts on: two CPUs that call each other with theirs off wait for ever, which
   * is a WARN. Results go through cells. 0, or -ENXIO for a CPU that is not online.
   *
   * @example
   * const kernel = boot({ cpus: 2 });
   * const note = kernel.smp.register((info) => kernel.machine.store32(PAGE_OFFSET + 0x100_0000, info));
   * kernel.call(() => kernel.smp.call(1, note, 42)); // => 0
   * kernel.machine.load32(PAGE_OFFSET + 0x100_0000); // => 42
   */
  call(cpu: number, run: SmpFunction, info = 0): number {
    const { preempt, cpus } = this.#parts;
    preempt.disable();
    const me = cpus.own;
    if (cpu === me) {
      const flag = this.#parts.machine.pushfCli();
      this.#functions[run]?.(info);
      this.#parts.machine.popfIf(flag);
      preempt.enable();
      return 0;
    }
    this.#checkContext();
    const error = this.#callOther(me, cpu, run, info);
    preempt.enable();
    return error;
  }

  /** The caller may be interrupted by the CPU that it waits for, so it must let that happen. */
  #checkContext(): void {
    const { oops, preempt } = this.#parts;
    if (this.#interruptFlag.read() === 0) oops.warnOn('cpu_online(this_cpu) && irqs_disabled()');
    if ((preempt.count.read() & INTERRUPT_MASK) !== 0) oops.warnOn('!in_task()');
  }

  #callOther(me: number, cpu: number, run: SmpFunction, info: number): number {
    const { machine, cpus } = this.#parts;
    if (machine.cpus[cpu] === undefined) return -ENXIO;
    this.#callers.add(cpu, 1);
    const online = cpus.isOnline(cpu);
    if (online) {
      // csd_lock: an interrupt handler may call, in spite of the WARN, while the task that it interrupted does.
      this.#locked.lock(me, 1);
      this.#function.set(me, run);
      this.#info.set(me, info);
      this.#queue.column.testAndSetBit(cpu, me);
      machine.sendIpi(cpu, CALL_FUNCTION_SINGLE_VECTOR);
      this.#locked.wait(me, 0);
    }
    this.#callers.add(cpu, -1);
    return online ? 0 : -ENXIO;
  }

  /** on_each_cpu: this CPU and every other one that is online, one after another. */
  onEachCpu(run: SmpFunction, info = 0): void {
    for (const { index } of this.#parts.machine.cpus) this.call(index, run, info);
  }

  /** generic_smp_call_function_single_interrupt */
  #flushQueue(): void {
    const asking = this.#queue.column.exchange(this.#parts.cpus.own, 0);
    for (let caller = 0; caller < this.#parts.machine.cpus.length; caller++) {
      if (((asking >>> caller) & 1) === 0) continue;
      const run = this.#function.get(caller);
      this.#functions[run]?.(this.#info.get(caller));
      this.#locked.set(caller, 0);
    }
  }

  /** Waits until nobody is calling the executing CPU; it is no longer online, and takes interrupts meanwhile. */
  waitForCallers(): void {
    this.#callers.wait(this.#parts.cpus.own, 0);
  }

  /** rdmsrl_on_cpu: the low half of an MSR of a CPU, or -ENXIO. */
  rdmsrOnCpu(cpu: number, msr: number): number {
    const { preempt, cpus } = this.#parts;
    preempt.disable();
    const me = cpus.own;
    this.#msrNumber.set(me, msr);
    const error = this.call(cpu, this.#readMsr, me);
    const value = error < 0 ? error : this.#msrValue.get(me);
    preempt.enable();
    return value;
  }

  /** wrmsrl_on_cpu: writes the low half of an MSR of a CPU, the high half 0; 0 or -ENXIO. */
  wrmsrOnCpu(cpu: number, msr: number, value: number): number {
    const { preempt, cpus } = this.#parts;
    preempt.disable();
    const me = cpus.own;
    this.#msrNumber.set(me, msr);
    this.#msrValue.set(me, value >>> 0);
    const error = this.call(cpu, this.#writeMsr, me);
    preempt.enable();
    return error;
  }
}
