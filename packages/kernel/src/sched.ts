// SPDX-License-Identifier: MIT
// schedule() and the context switch. kernel/sched/core.c, arch/x86/kernel/process_64.c

import { type Column, type Machine, Op, PerCpu } from '@pkslab/x86-cpu';
import type { CpuStates } from './cpu-state.ts';
import { Mark } from './mark.ts';
import type { Preempt } from './preempt.ts';
import type { Slots } from './slots.ts';
import { TaskState, type Tasks, TIF_WORK_CTXSW } from './task.ts';

/** Where __switch_to calls the modules' `switchIn`. */
export type SchedHook = 'xtraOnly' | 'switchEnd' | 'beforeCurrent';

/** In place of a task: the CPU may not switch now. */
const ATOMIC = -1;

type SwitchHook = (next: number) => void;

/** Reports of what callers may not do here. */
export interface SchedMisuse {
  /** Whether schedule() looks at the interrupt flag. */
  readonly checks: boolean;
  scheduleWithIrqsOff(): void;
  scheduleWhileAtomic(preemptCount: number): void;
  exitedAtomic(preemptCount: number): void;
}

/** What the scheduler needs of the kernel. */
export interface SchedParts {
  readonly machine: Machine;
  readonly tasks: Tasks;
  readonly preempt: Preempt;
  readonly slots: Slots;
  readonly cpus: CpuStates;
  readonly hook: SchedHook;
}

export class Scheduler {
  readonly #machine: Machine;
  readonly #tasks: Tasks;
  readonly #preempt: Preempt;
  readonly #beforeCurrent: readonly SwitchHook[];
  readonly #slowPath: readonly SwitchHook[];
  readonly #switchEnd: readonly SwitchHook[];
  readonly #slots: Slots;
  readonly #cpus: CpuStates;
  readonly #pickNext: number;
  readonly #interruptFlag: PerCpu;
  /** Installed at boot. */
  misuse: SchedMisuse | null = null;

  constructor({ machine, tasks, preempt, slots, cpus, hook }: SchedParts) {
    this.#machine = machine;
    this.#tasks = tasks;
    this.#preempt = preempt;
    this.#slots = slots;
    this.#cpus = cpus;
    this.#beforeCurrent = hook === 'beforeCurrent' ? slots.switchIn : [];
    this.#slowPath = hook === 'xtraOnly' ? slots.switchIn : [];
    this.#switchEnd = hook === 'switchEnd' ? slots.switchIn : [];
    this.#interruptFlag = new PerCpu(machine.registers.interruptFlag);
    this.#pickNext = machine.choosers.length;
    machine.choosers.push({
      alternatives: (prev) => (this.#atomic ? [ATOMIC] : this.#runnable(prev)),
      take: (next) => {
        if (next !== ATOMIC) this.#claim(next);
      },
    });
  }

  /** Tasks that could be next on the executing CPU: others first, else `prev` itself, else idle. */
  #runnable(prev: number): readonly number[] {
    const { onCpu } = this.#tasks;
    const cpus = this.#machine.cpus.length;
    const cpu = this.#machine.cpu.index;
    // The tasks of a CPU that is leaving go on elsewhere.
    if (!this.#cpus.takesTasks(cpu)) return [cpu];
    const after: number[] = [];
    const before: number[] = [];
    for (let task = cpus; task < onCpu.values.length; task++) {
      if (!this.#waitsFor(task, cpu)) continue;
      (task > prev ? after : before).push(task);
    }
    // In turn: a task that yields over and over must not keep the CPU between itself and the first.
    if (after.length + before.length > 0) return [...after, ...before];
    const stays = this.allowedOn(prev, cpu);
    if (prev >= cpus && stays && this.#tasks.isReady(prev)) return [prev];
    return [cpu];
  }

  /** Whether the executing CPU must not switch: read with the choice, which is one step. */
  get #atomic(): boolean {
    return this.#preempt.count.column.values[this.#machine.cpu.index] !== 0;
  }

  #claim(next: number): void {
    this.#tasks.movesTo.poke(next, 0);
    this.#tasks.onCpu.poke(next, this.#machine.cpu.index + 1);
    this.#tasks.state.poke(next, TaskState.running);
  }

  /**
   * migration_cpu_stop: a task that another CPU wants is put where only that CPU takes it.
   *
   * Use it with a reschedule interrupt, at whose exit the task leaves its CPU. To a CPU that is not active nobody
   * is moved: the task stays where it is.
   */
  moveTo(task: number, cpu: number): void {
    if (this.#cpus.takesTasks(cpu)) this.#tasks.movesTo.poke(task, cpu + 1);
  }

  /** cpus_allowed: whether a task may run on a CPU. One on its way to a CPU that leaves may go elsewhere. */
  allowedOn(task: number, cpu: number): boolean {
    const { movesTo, boundTo } = this.#tasks;
    const to = movesTo.values[task] as number;
    const moves = to !== 0 && this.#cpus.takesTasks(to - 1);
    const bound = moves ? to : (boundTo.values[task] as number);
    return bound === 0 || bound === cpu + 1;
  }

  /** Whether a halted CPU goes on: where there is work for it, or where it was told to leave. */
  haltEnds(cpu: number): boolean {
    return this.anyoneWaitsFor(cpu) || this.#cpus.isLeaving(cpu);
  }

  anyoneWaitsFor(cpu: number): boolean {
    const { onCpu } = this.#tasks;
    if (!this.#cpus.takesTasks(cpu)) return false;
    for (let task = this.#machine.cpus.length; task < onCpu.values.length; task++) {
      if (this.#waitsFor(task, cpu)) return true;
    }
    return false;
  }

  #waitsFor(task: number, cpu: number): boolean {
    const { onCpu } = this.#tasks;
    return onCpu.values[task] === 0 && this.#tasks.isReady(task) && this.allowedOn(task, cpu);
  }

  /** schedule(): gives up the CPU; returns when the task is switched in again. */
  schedule(): void {
    const checks = this.misuse?.checks === true;
    if (checks && this.#interruptFlag.readLocal() === 0) this.#scheduleWithIrqsOff();
    else this.yield();
  }

  /** 5.8 returns from here with interrupts on; a caller that turned them off relies on them to stay off. */
  #scheduleWithIrqsOff(): void {
    this.misuse?.scheduleWithIrqsOff();
    this.#switchToNext();
    this.#machine.cli();
  }

  /** sched_yield: lets others run; false if there was nobody else. */
  yield(): boolean {
    this.#machine.cli();
    const switched = this.#switchToNext();
    this.#machine.sti();
    return switched;
  }

  /** preempt_schedule_irq: called with interrupts off, on the way out of an interrupt. */
  preemptScheduleIrq(): void {
    this.#switchToNext();
    this.#machine.cli();
  }

  #switchToNext(): boolean {
    const prev = this.#tasks.current;
    this.#preempt.needResched.write(0);
    const next = this.#machine.choose(this.#pickNext, prev);
    if (next === ATOMIC) return this.#switchWhileAtomic();
    if (next !== prev) this.#contextSwitch(prev, next);
    return next !== prev;
  }

  /** The count is the CPU's: it stays behind while others run, and comes back with the task. */
  #switchWhileAtomic(): boolean {
    const count = this.#preempt.count.read();
    this.misuse?.scheduleWhileAtomic(count);
    this.#preempt.count.write(0);
    const switched = this.#switchToNext();
    this.#preempt.count.write(count);
    return switched;
  }

  #contextSwitch(prev: number, next: number): void {
    this.#machine.mark(Mark.switch, 1);
    const from = this.#machine.operate(Op.switchStack, next, prev, 0, 0);
    this.#switchTo(from, prev);
    this.#machine.mark(Mark.switch, 0);
    this.#finishTask(from);
  }

  /** __switch_to, on the stack of `next`. */
  #switchTo(prev: number, next: number): void {
    for (const hook of this.#beforeCurrent) hook(next);
    this.#tasks.currentOfCpu.write(next);
    if (this.#slowPath.length > 0) {
      const { tif } = this.#tasks;
      if (((tif.get(prev) | tif.get(next)) & TIF_WORK_CTXSW) !== 0) {
        for (const hook of this.#slowPath) hook(next);
      }
    }
    for (const hook of this.#switchEnd) hook(next);
  }

  /** finish_task, after the switch: from here on another CPU may take the task that was left. */
  #finishTask(prev: number): void {
    this.#tasks.onCpu.set(prev, 0);
  }

  /** ret_from_fork: the first thing that a new task runs; `current` is still the task before it. */
  startTask(task: number): void {
    const prev = this.#tasks.current;
    this.#machine.mark(Mark.switch, 1);
    this.#switchTo(prev, task);
    this.#machine.mark(Mark.switch, 0);
    this.#machine.mark(Mark.start, 1);
    this.#finishTask(prev);
    this.#machine.sti();
  }

  /** Sleeps until a cell holds a value: state and condition are set, then schedule(). */
  sleepUntil(column: Column, index: number, value: number): void {
    const me = this.#tasks.current;
    this.#tasks.waitColumn.set(me, column.id);
    this.#tasks.waitIndex.set(me, index);
    this.#tasks.waitValue.set(me, value);
    this.#tasks.state.set(me, TaskState.sleeping);
    this.schedule();
  }

  /** do_exit: never returns to its caller; the stack is not switched to again. */
  doExit(): void {
    const me = this.#tasks.current;
    this.#machine.mark(Mark.exit, 1);
    const count = this.#preempt.count.readLocal();
    if (count !== 0) {
      this.misuse?.exitedAtomic(count);
      // The count is the CPU's: what the dead task left must not stay with the next one.
      this.#preempt.count.write(0);
    }
    for (const hook of this.#slots.exit) hook(me);
    this.#tasks.state.set(me, TaskState.dead);
    this.yield();
  }
}
