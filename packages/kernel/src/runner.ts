// SPDX-License-Identifier: MIT
// Runs tasks on the host's stack. A task that gives up its CPU is unwound to its task boundary and continued
// later: its code runs again, fed with the recorded results of its operations, up to where it stopped.

import { type Column, deliverableEvent, KIND_MASK, type Machine, Outcome } from '@pkslab/x86-cpu';
import type { CpuStates } from './cpu-state.ts';
import { PF_USER_MEMORY } from './fault.ts';
import { Deadlock, TaskKilled } from './kernel-error.ts';
import { Recorder } from './recorder.ts';
import type { Scheduler } from './sched.ts';
import { type TaskCode, TaskState, type Tasks } from './task.ts';
import {
  EVENT_IRQ,
  EVENT_MC,
  EVENT_NMI,
  EVENT_PF,
  Pause,
  StackSwitch,
  type Thread,
} from './thread.ts';

/** Decides what happens at an operation boundary, by calling the runner's `interrupt`, `nmi` … */
export interface EventSource {
  boundary(runner: Runner, kind: number, a: number, b: number, c: number): void;
}

export class Runner {
  readonly #machine: Machine;
  readonly #tasks: Tasks;
  readonly #sched: Scheduler;
  readonly #states: CpuStates;
  readonly #threads: (Thread | undefined)[] = [];
  /** The task whose stack each CPU is on. */
  readonly #stackOf: number[];
  /** CPUs whose frames are on the host's stack now, bottom first. */
  readonly #active: number[] = [];
  /** CPUs whose last turn ended in a halt. */
  readonly #halted = new Set<number>();
  readonly #recorder: Recorder;
  #source: EventSource | null = null;
  #host = -1;
  #hostCall: (() => void) | null = null;
  #hostDone = false;

  constructor(machine: Machine, tasks: Tasks, sched: Scheduler, states: CpuStates) {
    this.#machine = machine;
    this.#tasks = tasks;
    this.#sched = sched;
    this.#states = states;
    this.#stackOf = machine.cpus.map((cpu) => cpu.index);
    const cpus = {
      askSource: (kind: number, a: number, b: number, c: number): boolean => {
        this.#source?.boundary(this, kind, a, b, c);
        return this.#source !== null;
      },
      waitUntilExecutable: (kind: number, a: number, b: number, c: number): void =>
        this.#waitUntilExecutable(kind, a, b, c),
    };
    this.#recorder = new Recorder(machine, sched, cpus, this.#threadOf(0));
    machine.switchStack = (next) => this.#switchUnrecorded(next);
    machine.waitFor = (kind, a, b, c, d) => {
      this.#active.push(machine.cpu.index);
      this.#waitUntilExecutable(kind, a, b, c);
      this.#active.pop();
      return machine.execute(kind, a, b, c, d);
    };
  }

  /** Attaches a source of events to every operation from now on; `null` detaches. */
  attach(source: EventSource | null): void {
    this.#source = source;
    this.#machine.hook = source === null ? null : this.#recorder;
  }

  /** The task that calls from the host run in; −1 before the first. */
  get hostTask(): number {
    return this.#host;
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
    const depth = this.#active.length;
    const { cpu, hook } = this.#machine;
    // kernel-rules: task boundary
    try {
      return hook === null ? fn() : this.#callRecorded(fn);
    } catch (error) {
      // An error of the call itself, not of the machine: the next call finds the runner in order.
      this.#active.length = depth;
      this.#machine.cpu = cpu;
      this.#machine.hook = hook;
      this.#hostCall = null;
      this.#threadOf(this.#host).log.length = 0;
      // The host's frames are gone; a task that still waits with them can never be switched to.
      if (this.#stackOf[0] !== this.#host) this.#tasks.state.poke(this.#host, TaskState.dead);
      throw error;
    }
  }

  #callRecorded<T>(fn: () => T): T {
    let value: T | undefined;
    this.#hostCall = () => {
      value = fn();
    };
    this.#hostDone = false;
    this.#threadOf(this.#host).log.length = 0;
    this.#runCpu(0, () => this.#hostDone);
    if (!this.#hostDone) this.#stuck();
    return value as T;
  }

  /** Runs every task, on all CPUs in turn, until all sleep or are dead. */
  runAll(): void {
    do {
      this.call(() => {
        while (this.#sched.yield());
      });
      if (this.#isPending(0)) this.#takeInterrupts();
    } while (this.#runOthers() || this.#isPending(0));
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

  /** The host's call cannot go on. */
  #stuck(): never {
    const host = this.#host;
    this.#hostCall = null;
    if (this.#tasks.state.values[host] === TaskState.dead) {
      throw new TaskKilled(host, this.#tasks.deathOf(host));
    }
    const column = this.#machine.columns[this.#tasks.waitColumn.values[host] as number];
    throw new Deadlock(
      `${this.#tasks.nameOf(host)} waits for ${column?.field.name ?? 'nothing'}, which nobody can change`,
    );
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
    this.#recorder.deliver(EVENT_IRQ, [vector, this.#machine.pushFrame()]);
    return true;
  }

  /** Delivers an NMI; false while they are blocked. */
  nmi(): boolean {
    if (!this.nmiPossible) return false;
    const flag = this.#machine.pushFrame();
    this.#machine.registers.nmiBlocked.poke(this.#machine.cpu.index, 1);
    this.#recorder.deliver(EVENT_NMI, [flag]);
    return true;
  }

  /** Delivers the event that is pending on the executing CPU and not masked (an IPI); false without one. */
  deliverPending(): boolean {
    return this.#recorder.deliverPending();
  }

  /** Delivers a #DB (vector 1) or #BP (vector 3), which IF does not mask. */
  debugException(vector: number): void {
    this.#recorder.deliver(EVENT_IRQ, [vector, this.#machine.pushFrame()]);
  }

  machineCheck(): void {
    this.#recorder.deliver(EVENT_MC, [this.#machine.pushFrame()]);
  }

  /**
   * A not-present fault on user memory, before the operation that touches it.
   *
   * @param extable whether that operation has an exception-table entry (`kind & EXTABLE`)
   */
  userPageFault(address: number, write: boolean, extable = false): void {
    const errorCode = (write ? 2 : 0) | PF_USER_MEMORY;
    const args = [errorCode, address, this.#machine.pushFrame(), extable ? 1 : 0];
    if (this.#recorder.deliver(EVENT_PF, args) === Outcome.fixup) this.#recorder.fixedUp = true;
  }

  /** Lets another CPU run for some boundaries, above the frames of this one. */
  runOther(cpu: number, boundaries: number): void {
    if (!this.#active.includes(cpu)) this.#turn(cpu, boundaries);
  }

  // ---- CPUs ----

  #waitUntilExecutable(kind: number, a: number, b: number, c: number): void {
    const machine = this.#machine;
    // What a dead CPU waits for is INIT.
    if (this.#states.isDead(machine.cpu.index)) throw new Pause('blocked');
    while (!machine.canExecute(kind & KIND_MASK, a, b, c)) {
      if (this.#takePending() || this.#runOthers() || this.#takePending()) continue;
      // A CPU further down the host's stack may hold what is waited for, or have an IPI to answer: let it go on.
      if (this.#active.length > 1 || this.#isPending(0)) throw new Pause('blocked');
      const column = machine.columns[a] as Column;
      const waiter = `CPU ${machine.cpu.index}`;
      throw new Deadlock(`${waiter} waits for ${column.field.name}[${b}], which nobody can change`);
    }
  }

  /** The executing CPU takes an event that is pending; whether there was one. */
  #takePending(): boolean {
    const machine = this.#machine;
    return machine.hook === null ? machine.deliverPending() : this.#recorder.deliverPending();
  }

  /** Whether an event waits for a CPU that would take it now. */
  #isPending(cpu: number): boolean {
    return deliverableEvent(this.#machine, cpu) >= 0;
  }

  /** Gives every CPU that is not on the host's stack a turn; whether any of them got anywhere. */
  #runOthers(): boolean {
    let progress = false;
    for (const { index } of this.#machine.cpus) {
      if (!this.#active.includes(index) && this.#hasWork(index)) {
        progress = this.#turn(index, 64) || progress;
      }
    }
    return progress;
  }

  /** Whether a CPU has a task to run, or stopped in the middle of something. */
  #hasWork(cpu: number): boolean {
    const task = this.#stackOf[cpu] as number;
    if (task === this.#host && this.#hostCall === null) return false;
    if (this.#states.isDead(cpu)) return false;
    if (this.#sched.haltEnds(cpu) || this.#isPending(cpu)) return true;
    return !this.#halted.has(cpu) && (task !== cpu || this.#threadOf(task).log.length > 0);
  }

  #turn(cpu: number, boundaries: number): boolean {
    const machine = this.#machine;
    const { hook } = machine;
    const budget = this.#recorder.budget;
    this.#recorder.budget = boundaries;
    machine.hook = this.#recorder;
    const before = this.#recorder.executed;
    this.#runCpu(cpu, () => false);
    machine.hook = hook;
    this.#recorder.budget = budget;
    return this.#recorder.executed !== before;
  }

  // ---- stacks ----

  #threadOf(task: number): Thread {
    let thread = this.#threads[task];
    if (thread === undefined) {
      thread = { task, log: [], cursor: 0, call: 0 };
      this.#threads[task] = thread;
    }
    return thread;
  }

  /** A new task's stack starts in ret_from_fork. */
  newThread(task: number): void {
    const { log, cursor } = this.#recorder.thread;
    // The parent runs again from its record: the child has its stack since the first time.
    if (this.#machine.hook === null || cursor >= log.length) this.#resetThread(task);
  }

  #resetThread(task: number): void {
    this.#threads[task] = { task, log: [], cursor: 0, call: -1 };
  }

  /** Runs whatever stack a CPU is on, and those it switches to, until `done` or its turn ends, and why. */
  #runCpu(cpu: number, done: () => boolean): 'done' | Pause['reason'] {
    const machine = this.#machine;
    const caller = { cpu: machine.cpu, thread: this.#recorder.thread };
    machine.cpu = machine.cpus[cpu] as typeof machine.cpu;
    this.#active.push(cpu);
    this.#halted.delete(cpu);
    let end: 'done' | Pause['reason'] = 'done';
    while (!done()) {
      const signal = this.#runStack(this.#stackOf[cpu] as number);
      if (signal instanceof StackSwitch) this.#enterStack(cpu, signal);
      if (!(signal instanceof Pause)) continue;
      end = signal.reason;
      if (end === 'halted') this.#halted.add(cpu);
      if (this.#active.length > 1 || !this.#runOthers()) break;
    }
    this.#active.pop();
    machine.cpu = caller.cpu;
    this.#recorder.thread = caller.thread;
    return end;
  }

  #enterStack(cpu: number, signal: StackSwitch): void {
    this.#stackOf[cpu] = signal.next;
    const { log } = this.#threadOf(signal.next);
    const pending = log[log.length - 1];
    if (pending !== undefined) pending.result = signal.from;
  }

  /** Runs one call of a task's code on its stack; the signal that ended it early, if any. */
  #runStack(task: number): StackSwitch | Pause | null {
    const thread = this.#threadOf(task);
    this.#recorder.thread = thread;
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
    } else if (task === this.#host && this.#hostCall !== null) {
      this.#hostCall();
      this.#hostCall = null;
      this.#hostDone = true;
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

  // ---- the host's own task ----

  /** Makes the host's task current on CPU 0, in a new task if the last one was killed. */
  #enterHost(name: string): void {
    if (this.#host >= 0 && this.#tasks.state.values[this.#host] !== TaskState.dead) return;
    // The host goes on where it called: on CPU 0, whoever ran there meanwhile.
    const code: TaskCode = { name, calls: [], cpu: 0 };
    const hook = this.#machine.hook;
    // No task runs this: it must not get into anybody's record.
    this.#machine.hook = null;
    this.#host = this.#tasks.create(code);
    this.#resetThread(this.#host);
    const host = this.#threadOf(this.#host);
    this.#tasks.state.poke(this.#host, TaskState.running);
    const source = this.#source;
    this.#machine.hook = this.#recorder;
    this.#source = null;
    this.#runCpu(0, () => this.#stackOf[0] === this.#host && host.call === 0);
    this.#source = source;
    this.#machine.hook = hook;
  }

  /** A plain call of the host gives up its CPU: others run above its frames until it is switched to again. */
  #switchUnrecorded(next: number): number {
    const machine = this.#machine;
    const cpu = machine.cpu.index;
    const me = this.#stackOf[cpu] as number;
    const dead = this.#tasks.state.values[me] === TaskState.dead;
    let signal: StackSwitch | null = new StackSwitch(next, me);
    machine.hook = this.#recorder;
    this.#active.push(cpu);
    do {
      this.#enterStack(cpu, signal);
      signal = this.#runUntilSwitch(cpu);
    } while (signal !== null && (signal.next !== me || dead));
    this.#active.pop();
    machine.hook = null;
    if (signal === null) this.#stuck();
    this.#stackOf[cpu] = me;
    this.#recorder.thread = this.#threadOf(me);
    return signal.from;
  }

  /** Runs stacks of a CPU up to the next switch; null once it is idle and nobody can wake a task. */
  #runUntilSwitch(cpu: number): StackSwitch | null {
    for (;;) {
      const signal = this.#runStack(this.#stackOf[cpu] as number);
      if (signal instanceof StackSwitch) return signal;
      if (signal instanceof Pause && !this.#runOthers()) return null;
    }
  }
}
