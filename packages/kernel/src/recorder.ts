// SPDX-License-Identifier: MIT
// The record of a task's current call: its operations with their results, so that a task that was unwound can
// be run again, without effects, up to where it stopped.

import {
  acknowledgeEvent,
  deliverableEvent,
  EndlessRetry,
  EXTABLE,
  FAULTED,
  FIXED_UP,
  KIND_MASK,
  type Machine,
  Op,
  type OperationHook,
  Outcome,
  RETRIES_MAX,
  VECTOR_MC,
  VECTOR_NMI,
} from '@pkslab/x86-cpu';
import type { Scheduler } from './sched.ts';
import {
  type Entry,
  EVENT_GP,
  EVENT_IRQ,
  EVENT_MC,
  EVENT_NMI,
  EVENT_PF,
  Pause,
  StackSwitch,
  type Thread,
} from './thread.ts';

/** What a recorder needs of whoever runs the CPUs. */
export interface RecordedCpus {
  /** Offers a boundary to the source of events, if there is one; whether there is. */
  askSource(kind: number, a: number, b: number, c: number, d: number): boolean;
  /** Runs others until an operation that waits can go on. */
  waitUntilExecutable(kind: number, a: number, b: number, c: number): void;
}

/** Performs the operations of the running task and records them; attached while a task may be unwound. */
export class Recorder implements OperationHook {
  readonly #machine: Machine;
  readonly #sched: Scheduler;
  readonly #cpus: RecordedCpus;
  /** The record that operations go to. */
  thread: Thread;
  /** Boundaries until the running CPU pauses; infinite on the CPU that the host called on. */
  budget: number = Number.POSITIVE_INFINITY;
  /** Operations that were performed and not fed from the record, ever: how others tell progress. */
  executed = 0;
  /** An event at the boundary that the source looks at now ended in the operation's fixup. */
  fixedUp = false;

  constructor(machine: Machine, sched: Scheduler, cpus: RecordedCpus, thread: Thread) {
    this.#machine = machine;
    this.#sched = sched;
    this.#cpus = cpus;
    this.thread = thread;
  }

  operate(kind: number, a: number, b: number, c: number, d: number): number {
    const { thread } = this;
    const entry = thread.log[thread.cursor];
    if (entry !== undefined) {
      if (entry.event === null) return this.#replay(thread, entry, kind, a, b, d);
      if (this.#resume(thread, entry) === Outcome.fixup) return this.#record(kind, a, FIXED_UP);
    }
    return this.#untilSettled(kind, a, b, c, d);
  }

  #untilSettled(kind: number, a: number, b: number, c: number, d: number): number {
    for (let tries = 0; tries < RETRIES_MAX; tries++) {
      // An operation that faulted begins anew: events come before it as before any other.
      if ((kind & KIND_MASK) >= Op.boundary) {
        if (--this.budget < 0) throw new Pause('budget');
        if (this.#offerBoundary(kind, a, b, c, d)) return this.#record(kind, a, FIXED_UP);
      }
      const result = this.#execute(kind, a, b, c, d);
      if (result !== FAULTED) return result;
    }
    throw new EndlessRetry(this.#machine.fault);
  }

  /** Whether an event at this boundary took the operation's exception-table entry. */
  #offerBoundary(kind: number, a: number, b: number, c: number, d: number): boolean {
    const outer = this.fixedUp;
    this.fixedUp = false;
    // A source of events decides when a pending interrupt arrives; without one it arrives at once.
    if (!this.#cpus.askSource(kind, a, b, c, d)) this.deliverPending();
    const { fixedUp } = this;
    this.fixedUp = outer;
    return fixedUp;
  }

  #replay(thread: Thread, entry: Entry, kind: number, a: number, b: number, d: number): number {
    if (entry.kind !== kind || entry.a !== a) {
      throw new Error(
        `not deterministic at operation ${thread.cursor} of task ${thread.task}: recorded ${entry.kind}(${entry.a}), now ${kind}(${a})`,
      );
    }
    thread.cursor++;
    this.#machine.resultHigh = entry.high;
    if (entry.bytes !== null) this.#machine.buffers[b]?.set(entry.bytes, d);
    // A mark says whether it was passed before, so that output is made once.
    return kind === Op.mark ? 1 : entry.result;
  }

  /** Runs the handler of an event that was under way again; its record ends with it. */
  #resume(thread: Thread, entry: Entry): number {
    const at = thread.cursor++;
    const outcome = this.#handle(entry.kind, entry.event as readonly number[]);
    thread.log.length = at;
    thread.cursor = at;
    return outcome;
  }

  /** Enters an event on the running stack: its handler is part of the record until it is done. */
  deliver(kind: number, args: readonly number[]): number {
    const { thread } = this;
    thread.log.push({ kind, a: 0, result: 0, high: 0, event: args, bytes: null });
    return this.#resume(thread, thread.log[thread.cursor] as Entry);
  }

  /** Delivers the event that is pending on the executing CPU and not masked; whether there was one. */
  deliverPending(): boolean {
    const machine = this.#machine;
    const cpu = machine.cpu.index;
    const vector = deliverableEvent(machine, cpu);
    if (vector < 0) return false;
    acknowledgeEvent(machine, cpu, vector);
    const flags = machine.pushFrame();
    if (vector === VECTOR_NMI) {
      machine.registers.nmiBlocked.poke(cpu, 1);
      this.deliver(EVENT_NMI, [flags]);
    } else if (vector === VECTOR_MC) this.deliver(EVENT_MC, [flags]);
    else this.deliver(EVENT_IRQ, [vector, flags]);
    return true;
  }

  #handle(kind: number, args: readonly number[]): number {
    const handlers = this.#machine.handlers;
    const [first = 0, second = 0, third = 0, fourth = 0] = args;
    if (handlers === null) return Outcome.retry;
    if (kind === EVENT_IRQ) handlers.interrupt(first, second);
    else if (kind === EVENT_NMI) handlers.nmi(first);
    else if (kind === EVENT_MC) handlers.machineCheck(first);
    else if (kind === EVENT_PF) return handlers.pageFault(first, second, third, fourth === 1);
    else return handlers.generalProtection(first, second, third === 1, fourth);
    return Outcome.retry;
  }

  /** Performs an operation; `FAULTED` where its fault's handler wants it to be tried again. */
  #execute(kind: number, a: number, b: number, c: number, d: number): number {
    const machine = this.#machine;
    const op = kind & KIND_MASK;
    if (op === Op.switchStack) this.#leave(kind, a, b);
    if (op === Op.halt && !this.#haltEnds()) throw new Pause('halted');
    if (!machine.canExecute(op, a, b, c)) this.#cpus.waitUntilExecutable(kind, a, b, c);
    const result = machine.execute(kind, a, b, c, d);
    if (result !== FAULTED) {
      const bytes = op === Op.copyOut ? machine.buffers[b]?.slice(d, d + c) : undefined;
      return this.#record(kind, a, result, bytes);
    }
    const outcome = this.#fault((kind & EXTABLE) !== 0);
    return outcome === Outcome.fixup ? this.#record(kind, a, FIXED_UP) : FAULTED;
  }

  /** A halted CPU takes its pending interrupts whoever is attached: they are what a halt waits for. */
  #haltEnds(): boolean {
    const { index } = this.#machine.cpu;
    while (!this.#sched.haltEnds(index)) if (!this.deliverPending()) return false;
    return true;
  }

  #fault(fixup: boolean): number {
    const machine = this.#machine;
    const { vector, errorCode, address } = machine.fault;
    const flag = machine.pushFrame();
    const extable = fixup ? 1 : 0;
    if (vector !== 14) return this.deliver(EVENT_GP, [errorCode, flag, extable, address]);
    machine.registers.cr2.poke(machine.cpu.index, address);
    return this.deliver(EVENT_PF, [errorCode, address, flag, extable]);
  }

  #record(kind: number, a: number, result: number, bytes: Uint8Array | null = null): number {
    const { thread } = this;
    this.executed++;
    const high = this.#machine.resultHigh;
    thread.log.push({ kind, a, result, high, event: null, bytes });
    thread.cursor = thread.log.length;
    return result;
  }

  /** switchStack: the result is filled in when somebody switches back. */
  #leave(kind: number, next: number, prev: number): never {
    this.#record(kind, next, -1);
    throw new StackSwitch(next, prev);
  }
}
