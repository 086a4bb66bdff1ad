// SPDX-License-Identifier: MIT
// Calls from the host, and events at operation boundaries: the kernel as the host uses it.

import { type Machine, Outcome } from '@pkslab/x86-cpu';
import type { CpuStates } from './cpu-state.ts';
import { PF_USER_MEMORY } from './fault.ts';
import type { Scheduler } from './sched.ts';
import { type TaskCode, TaskState, type Tasks } from './task.ts';
import { TaskStacks } from './task-stacks.ts';
import { EVENT_IRQ, EVENT_MC, EVENT_NMI, EVENT_PF, Pause } from './thread.ts';

/** Decides what happens at an operation boundary, by calling the runner's `interrupt`, `nmi` … */
export interface EventSource {
  boundary(runner: Runner, kind: number, a: number, b: number, c: number, d: number): void;
}

export class Runner {
  readonly #machine: Machine;
  readonly #tasks: Tasks;
  readonly #sched: Scheduler;
  readonly #stacks: TaskStacks;
  #source: EventSource | null = null;

  constructor(machine: Machine, tasks: Tasks, sched: Scheduler, states: CpuStates) {
    this.#machine = machine;
    this.#tasks = tasks;
    this.#sched = sched;
    const askSource = (kind: number, a: number, b: number, c: number, d: number): boolean => {
      this.#source?.boundary(this, kind, a, b, c, d);
      return this.#source !== null;
    };
    this.#stacks = new TaskStacks({ machine, tasks, sched, states, askSource });
  }

  /** Attaches a source of events to every operation from now on; `null` detaches. */
  attach(source: EventSource | null): void {
    this.#source = source;
    this.#machine.hook = source === null ? null : this.#stacks.recorder;
  }

  /** The task that calls from the host run in; −1 before the first. */
  get hostTask(): number {
    return this.#stacks.host;
  }

  /**
   * Runs a call in the host's task on CPU 0 and returns its value.
   *
   * With nothing attached it is a plain call. With a source attached the call may be unwound and run again,
   * so it must touch nothing but the machine.
   *
   * @throws {TaskKilled} if an oops ended the task; the next call gets a new one.
   */
  call<T>(fn: () => T, name = 'host'): T {
    this.#enterHost(name);
    const stacks = this.#stacks;
    const depth = stacks.active.length;
    const { cpu, hook } = this.#machine;
    // kernel-rules: task boundary
    try {
      return hook === null ? fn() : this.#callRecorded(fn);
    } catch (error) {
      // An error of the call itself, not of the machine: the next call finds the runner in order.
      stacks.active.length = depth;
      this.#machine.cpu = cpu;
      this.#machine.hook = hook;
      stacks.hostCall = null;
      stacks.threadOf(stacks.host).log.length = 0;
      // The host's frames are gone; a task that still waits with them can never be switched to.
      if (!stacks.isOn(0, stacks.host)) this.#tasks.state.poke(stacks.host, TaskState.dead);
      throw error;
    }
  }

  #callRecorded<T>(fn: () => T): T {
    const stacks = this.#stacks;
    let value: T | undefined;
    stacks.hostCall = () => {
      value = fn();
    };
    stacks.threadOf(stacks.host).log.length = 0;
    stacks.runCpu(0, () => stacks.hostCall === null);
    if (stacks.hostCall !== null) stacks.refuseHost();
    return value as T;
  }

  /** Runs every task, on all CPUs in turn, until all sleep or are dead. */
  runAll(): void {
    const stacks = this.#stacks;
    do {
      this.call(() => {
        while (this.#sched.yield());
      });
      if (stacks.isPending(0)) this.#takeInterrupts();
    } while (stacks.runOthers() || stacks.isPending(0));
  }

  /** The host's CPU takes what is pending for it, as it would at any instruction. */
  #takeInterrupts(): void {
    const source = this.#source;
    this.#source = null;
    this.call(() => {
      if (this.#machine.hook === null) this.#machine.deliverPending();
      this.#machine.sti();
    });
    this.#source = source;
  }

  /**
   * Runs the CPUs from their idle tasks on, without a task of the host, until CPU 0 halts and no other gets anywhere.
   *
   * Use it with a source that decides which CPU goes on (`runOther`, `pause`). Calls that the host made before are
   * over: their task ends once a CPU takes it.
   */
  runFree(): void {
    this.#stacks.restart();
    this.#stacks.runCpu(0, () => false);
  }

  // ---- events, called by a source at a boundary ----

  /** Whether an external interrupt could be delivered on the executing CPU now. */
  get interruptible(): boolean {
    return this.#machine.registers.interruptFlag.values[this.#machine.cpu.index] === 1;
  }

  get nmiPossible(): boolean {
    return this.#machine.registers.nmiBlocked.values[this.#machine.cpu.index] === 0;
  }

  /** Delivers an external interrupt; false if IF is clear. */
  interrupt(vector: number): boolean {
    if (!this.interruptible) return false;
    this.#deliver(EVENT_IRQ, [vector, this.#machine.pushFrame()]);
    return true;
  }

  /** Delivers an NMI; false while they are blocked. */
  nmi(): boolean {
    if (!this.nmiPossible) return false;
    const flag = this.#machine.pushFrame();
    this.#machine.registers.nmiBlocked.poke(this.#machine.cpu.index, 1);
    this.#deliver(EVENT_NMI, [flag]);
    return true;
  }

  /** Delivers the event that is pending on the executing CPU and not masked (an IPI); false without one. */
  deliverPending(): boolean {
    return this.#stacks.recorder.deliverPending();
  }

  /** Delivers a #DB (vector 1) or #BP (vector 3), which IF does not mask. */
  debugException(vector: number): void {
    this.#deliver(EVENT_IRQ, [vector, this.#machine.pushFrame()]);
  }

  machineCheck(): void {
    this.#deliver(EVENT_MC, [this.#machine.pushFrame()]);
  }

  /**
   * A not-present fault on user memory, before the operation that touches it.
   *
   * @param extable whether that operation has an exception-table entry (`kind & EXTABLE`)
   * @returns whether the handler went there: then the operation is not executed
   */
  userPageFault(address: number, write: boolean, extable = false): boolean {
    const errorCode = (write ? 2 : 0) | PF_USER_MEMORY;
    const args = [errorCode, address, this.#machine.pushFrame(), extable ? 1 : 0];
    const fixedUp = this.#deliver(EVENT_PF, args) === Outcome.fixup;
    if (fixedUp) this.#stacks.recorder.fixedUp = true;
    return fixedUp;
  }

  /**
   * Ends the operation at this boundary in its exception-table entry, unexecuted: what a watchdog would have to do with
   * an access that its handler retries for ever. For operations with such an entry (`kind & EXTABLE`), as the last
   * thing at the boundary.
   */
  giveUp(): void {
    this.#stacks.recorder.fixedUp = true;
  }

  #deliver(kind: number, args: readonly number[]): number {
    return this.#stacks.recorder.deliver(kind, args);
  }

  /** Lets another CPU run for some boundaries, above the frames of this one. */
  runOther(cpu: number, boundaries: number): void {
    if (!this.#stacks.active.includes(cpu)) this.#stacks.turn(cpu, boundaries);
  }

  /** Ends the turn of the executing CPU: its frames are unwound, and its next turn begins at this boundary again. */
  pause(): never {
    throw new Pause('budget');
  }

  // ---- tasks ----

  /** A new task's stack starts in ret_from_fork. */
  newThread(task: number): void {
    this.#stacks.newThread(task);
  }

  /** Makes the host's task current on CPU 0, in a new task if the last one was killed. */
  #enterHost(name: string): void {
    const stacks = this.#stacks;
    if (stacks.host >= 0 && this.#tasks.state.values[stacks.host] !== TaskState.dead) return;
    // The host goes on where it called: on CPU 0, whoever ran there meanwhile.
    const code: TaskCode = { name, calls: [], cpu: 0 };
    const hook = this.#machine.hook;
    // No task runs this: it must not get into anybody's record.
    this.#machine.hook = null;
    const host = this.#tasks.create(code);
    stacks.host = host;
    stacks.resetThread(host);
    this.#tasks.state.poke(host, TaskState.running);
    const source = this.#source;
    this.#machine.hook = stacks.recorder;
    this.#source = null;
    stacks.runCpu(0, () => stacks.isOn(0, host) && stacks.threadOf(host).call === 0);
    this.#source = source;
    this.#machine.hook = hook;
  }
}
