// SPDX-License-Identifier: MIT
// Tasks have one stack between them, the host's. A task that gives up its CPU is unwound to its task boundary and
// continued later: its code runs again, fed with the recorded results of its operations, up to where it stopped.

import { deliverableEvent, KIND_MASK, type Machine, waitedCells } from '@pkslab/x86-cpu';
import type { CpuStates } from './cpu-state.ts';
import { Deadlock, TaskKilled } from './kernel-error.ts';
import { type RecordedCpus, Recorder } from './recorder.ts';
import type { Scheduler } from './sched.ts';
import { TaskState, type Tasks } from './task.ts';
import { Pause, StackSwitch, type Thread } from './thread.ts';

/** What the stacks of tasks need of the kernel. */
export interface StackParts {
  readonly machine: Machine;
  readonly tasks: Tasks;
  readonly sched: Scheduler;
  readonly states: CpuStates;
  /** Offers a boundary to the source of events, if there is one; whether there is. */
  readonly askSource: RecordedCpus['askSource'];
}

/** Runs CPUs in turn, each on the stack of its task. */
export class TaskStacks {
  readonly recorder: Recorder;
  /** The task that calls from the host run in; −1 before the first. */
  host = -1;
  /** The call that the host's task is to run; null while there is none. */
  hostCall: (() => void) | null = null;
  /** CPUs whose frames are on the host's stack now, bottom first. */
  readonly active: number[] = [];
  readonly #machine: Machine;
  readonly #tasks: Tasks;
  readonly #sched: Scheduler;
  readonly #states: CpuStates;
  readonly #threads: (Thread | undefined)[] = [];
  /** The task whose stack each CPU is on. */
  readonly #stackOf: number[];
  /** CPUs whose last turn ended in a halt. */
  readonly #halted = new Set<number>();

  constructor({ machine, tasks, sched, states, askSource }: StackParts) {
    this.#machine = machine;
    this.#tasks = tasks;
    this.#sched = sched;
    this.#states = states;
    this.#stackOf = machine.cpus.map((cpu) => cpu.index);
    const waitUntilExecutable = (kind: number, a: number, b: number, c: number): void =>
      this.#waitUntilExecutable(kind, a, b, c);
    const cpus = { askSource, waitUntilExecutable };
    this.recorder = new Recorder(machine, sched, cpus, this.threadOf(0));
    machine.switchStack = (next) => this.#switchUnrecorded(next);
    machine.waitFor = (kind, a, b, c, d) => {
      this.active.push(machine.cpu.index);
      waitUntilExecutable(kind, a, b, c);
      this.active.pop();
      return machine.execute(kind, a, b, c, d);
    };
  }

  threadOf(task: number): Thread {
    let thread = this.#threads[task];
    if (thread === undefined) {
      thread = { task, log: [], cursor: 0, call: 0 };
      this.#threads[task] = thread;
    }
    return thread;
  }

  /** A new task's stack starts in ret_from_fork. */
  newThread(task: number): void {
    const { log, cursor } = this.recorder.thread;
    // The parent runs again from its record: the child has its stack since the first time.
    if (this.#machine.hook === null || cursor >= log.length) this.resetThread(task);
  }

  resetThread(task: number): void {
    this.#threads[task] = { task, log: [], cursor: 0, call: -1 };
  }

  /** Puts every CPU on its idle task's stack, at its start. The host's frames are gone: its task starts anew, and ends. */
  restart(): void {
    for (const cpu of this.#stackOf.keys()) {
      this.#stackOf[cpu] = cpu;
      this.#threads[cpu] = { task: cpu, log: [], cursor: 0, call: 0 };
    }
    if (this.host >= 0) this.resetThread(this.host);
    this.host = -1;
  }

  /** Whether a CPU is on a task's stack. */
  isOn(cpu: number, task: number): boolean {
    return this.#stackOf[cpu] === task;
  }

  // ---- CPUs ----

  #waitUntilExecutable(kind: number, a: number, b: number, c: number): void {
    const machine = this.#machine;
    // What a dead CPU waits for is INIT.
    if (this.#states.isDead(machine.cpu.index)) throw new Pause('blocked');
    while (!machine.canExecute(kind & KIND_MASK, a, b, c)) {
      if (this.#takePending() || this.runOthers() || this.#takePending()) continue;
      // A CPU further down the host's stack may hold what is waited for, or have an IPI to answer: let it go on.
      if (this.active.length > 1 || this.isPending(0)) throw new Pause('blocked');
      const names = waitedCells(machine.columns, kind, a, b, c).map(
        ({ column, index }) => `${column.field.name}[${index}]`,
      );
      const waiter = `CPU ${machine.cpu.index}`;
      throw new Deadlock(`${waiter} waits for ${names.join(' or ')}, which nobody can change`);
    }
  }

  /** The executing CPU takes an event that is pending; whether there was one. */
  #takePending(): boolean {
    const machine = this.#machine;
    return machine.hook === null ? machine.deliverPending() : this.recorder.deliverPending();
  }

  /** Whether an event waits for a CPU that would take it now. */
  isPending(cpu: number): boolean {
    return deliverableEvent(this.#machine, cpu) >= 0;
  }

  /** Gives every CPU that is not on the host's stack a turn; whether any of them got anywhere. */
  runOthers(): boolean {
    let progress = false;
    for (const { index } of this.#machine.cpus) {
      if (!this.active.includes(index) && this.#hasWork(index)) {
        progress = this.turn(index, 64) || progress;
      }
    }
    return progress;
  }

  /** Whether a CPU has a task to run, or stopped in the middle of something. */
  #hasWork(cpu: number): boolean {
    const task = this.#stackOf[cpu] as number;
    if (task === this.host && this.hostCall === null) return false;
    if (this.#states.isDead(cpu)) return false;
    if (this.#sched.haltEnds(cpu) || this.isPending(cpu)) return true;
    return !this.#halted.has(cpu) && (task !== cpu || this.threadOf(task).log.length > 0);
  }

  /** Lets a CPU run for some boundaries, above the frames of those that are active; whether it got anywhere. */
  turn(cpu: number, boundaries: number): boolean {
    const machine = this.#machine;
    const { hook } = machine;
    const budget = this.recorder.budget;
    this.recorder.budget = boundaries;
    machine.hook = this.recorder;
    const before = this.recorder.executed;
    this.runCpu(cpu, () => false);
    machine.hook = hook;
    this.recorder.budget = budget;
    return this.recorder.executed !== before;
  }

  /** Runs whatever stack a CPU is on, and those it switches to, until `done` or its turn ends. */
  runCpu(cpu: number, done: () => boolean): void {
    const machine = this.#machine;
    const caller = { cpu: machine.cpu, thread: this.recorder.thread };
    machine.cpu = machine.cpus[cpu] as typeof machine.cpu;
    this.active.push(cpu);
    this.#halted.delete(cpu);
    while (!done()) {
      const signal = this.#runStack(this.#stackOf[cpu] as number);
      if (signal instanceof StackSwitch) this.#enterStack(cpu, signal);
      if (!(signal instanceof Pause)) continue;
      if (signal.reason === 'halted') this.#halted.add(cpu);
      if (this.active.length > 1 || !this.runOthers()) break;
    }
    this.active.pop();
    machine.cpu = caller.cpu;
    this.recorder.thread = caller.thread;
  }

  // ---- stacks ----

  /**
   * The host's call cannot go on.
   *
   * @throws {TaskKilled} if an oops ended its task.
   * @throws {Deadlock} if it waits for what nobody can change.
   */
  refuseHost(): never {
    const { host } = this;
    this.hostCall = null;
    const tasks = this.#tasks;
    if (tasks.state.values[host] === TaskState.dead) {
      throw new TaskKilled(host, tasks.deathOf(host));
    }
    const column = this.#machine.columns[tasks.waitColumn.values[host] as number];
    throw new Deadlock(
      `${tasks.nameOf(host)} waits for ${column?.field.name ?? 'nothing'}, which nobody can change`,
    );
  }

  #enterStack(cpu: number, signal: StackSwitch): void {
    this.#stackOf[cpu] = signal.next;
    const { log } = this.threadOf(signal.next);
    const pending = log[log.length - 1];
    if (pending !== undefined) pending.result = signal.from;
  }

  /** Runs one call of a task's code on its stack; the signal that ended it early, if any. */
  #runStack(task: number): StackSwitch | Pause | null {
    const thread = this.threadOf(task);
    this.recorder.thread = thread;
    thread.cursor = 0;
    // kernel-rules: task boundary
    try {
      this.#runCall(thread);
    } catch (signal) {
      if (signal instanceof StackSwitch || signal instanceof Pause) return signal;
      throw signal;
    }
    thread.log.length = 0;
    thread.cursor = 0;
    return null;
  }

  #runCall(thread: Thread): void {
    const { task } = thread;
    if (thread.call < 0) {
      this.#sched.startTask(task);
      thread.call = 0;
    } else if (task === this.host && this.hostCall !== null) {
      this.hostCall();
      this.hostCall = null;
    } else {
      const code = this.#tasks.code(task);
      const call = code.calls[thread.call];
      if (call === undefined) {
        this.#sched.doExit();
        return;
      }
      call();
      thread.call = code.loop === true ? (thread.call + 1) % code.calls.length : thread.call + 1;
    }
  }

  /** A plain call of the host gives up its CPU: others run above its frames until it is switched to again. */
  #switchUnrecorded(next: number): number {
    const machine = this.#machine;
    const cpu = machine.cpu.index;
    const me = this.#stackOf[cpu] as number;
    const dead = this.#tasks.state.values[me] === TaskState.dead;
    let signal: StackSwitch | null = new StackSwitch(next, me);
    machine.hook = this.recorder;
    this.active.push(cpu);
    do {
      this.#enterStack(cpu, signal);
      signal = this.#runUntilSwitch(cpu);
    } while (signal !== null && (signal.next !== me || dead));
    this.active.pop();
    machine.hook = null;
    if (signal === null) this.refuseHost();
    this.#stackOf[cpu] = me;
    this.recorder.thread = this.threadOf(me);
    return signal.from;
  }

  /** Runs stacks of a CPU up to the next switch; null once it is idle and nobody can wake a task. */
  #runUntilSwitch(cpu: number): StackSwitch | null {
    for (;;) {
      const signal = this.#runStack(this.#stackOf[cpu] as number);
      if (signal instanceof StackSwitch) return signal;
      if (signal instanceof Pause && !this.runOthers()) return null;
    }
  }
}
