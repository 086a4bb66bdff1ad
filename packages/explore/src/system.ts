// SPDX-License-Identifier: MIT
// The system being explored: what can happen next, and what a step does.

import { type Kernel, PF_USER_MEMORY, RESCHEDULE_VECTOR, TaskState } from '@pkslab/kernel';
import {
  acknowledgeEvent,
  EXTABLE,
  FAULTED,
  FIXED_UP,
  KIND_MASK,
  type Machine,
  Op,
  Outcome,
  VECTOR_MC,
  VECTOR_NMI,
  VECTOR_PF,
} from '@pkslab/x86-cpu';
import type { Action } from './actions.ts';
import type { EventKind } from './budget.ts';
import { Checker } from './checker.ts';
import { Enabled } from './enabled.ts';
import { Entries, MACHINE_CHECK, NMI } from './entries.ts';
import { Executor } from './executor.ts';
import { UndoLog } from './journal.ts';
import { END, type Node, PANIC, type Routine } from './node.ts';
import { Persistence } from './persistence.ts';
import { reachOf } from './reach.ts';
import { type Crash, Recoveries } from './recovery.ts';
import type { Setup } from './scenario.ts';
import { DEADLOCK } from './search.ts';
import { MAX_DEPTH, Stacks } from './stacks.ts';
import { Tries } from './trie.ts';

/** Where the user memory lies that a `pageFault` event says is not present. */
export const USER_PAGE = 0x1000;

/** Told of each operation as it is executed; for traces. */
export type StepObserver = (cpu: number, task: number, node: Node, result: number) => void;

export class System {
  readonly machine: Machine;
  readonly kernel: Kernel;
  readonly tries: Tries;
  readonly undo: UndoLog = new UndoLog();
  readonly checker: Checker;
  onStep: StepObserver | null = null;
  /** What can happen next. */
  readonly enabled: Enabled;
  /** The steps that took each CPU's first task to its first call: before any schedule. */
  readonly start: readonly Action[];
  /** What the last power failure led to; null without one. */
  crash: Crash | null = null;
  readonly #persistence: Persistence | null = null;
  readonly #recoveries: Recoveries | null = null;
  readonly #stacks: Stacks;
  readonly #executor: Executor;
  readonly #entries: Entries;
  #cpu = 0;
  #task = 0;

  constructor(setup: Setup) {
    const { kernel } = setup;
    const { machine } = kernel;
    this.kernel = kernel;
    this.machine = machine;
    this.tries = new Tries(kernel);
    this.#stacks = new Stacks(kernel, this.tries);
    this.#executor = new Executor(machine);
    this.#entries = new Entries(machine, this.tries);
    this.checker = new Checker(machine, this.#stacks, setup.invariants);
    this.enabled = new Enabled(kernel, this.#stacks, setup.vectors ?? [0x20]);
    machine.journal = this.undo;
    this.undo.onBytesUndone = () => machine.flushAllTlbs();
    if (setup.recovery !== undefined) {
      this.#persistence = new Persistence(machine, setup.recovery.domain ?? 'adr');
      this.#recoveries = new Recoveries(machine.memory, this.#persistence, setup.recovery);
    }
    this.start = machine.cpus.flatMap(({ index }) => this.#start(index, setup.tasks[index]));
  }

  /** Takes a task onto a CPU: through idle and the switch, up to the start of its first call. */
  #start(cpu: number, task: number | undefined): Action[] {
    this.#stacks.stackOf.poke(cpu, cpu);
    this.#push(cpu, this.#stacks.nextRoutine(cpu, true));
    const steps: Action[] = [];
    while (task !== undefined && this.checker.violation === null && !this.#stacks.hasBegun(task)) {
      const step = { cpu, event: null, choice: task };
      steps.push(step);
      this.perform(step);
    }
    return steps;
  }

  /** The task whose stack a CPU is on. */
  taskOf(cpu: number): number {
    return this.#stacks.stackOf.values[cpu] as number;
  }

  /** The node that a CPU's innermost context is at. */
  nodeOf(cpu: number): Node {
    return this.#stacks.top(this.taskOf(cpu));
  }

  /** Where each context on a CPU's stack is, innermost first. */
  contextsOf(cpu: number): Node[] {
    return this.contextsOn(this.taskOf(cpu));
  }

  /** The same of a task's stack. */
  contextsOn(task: number): Node[] {
    const depth = this.#stacks.depth.values[task] as number;
    return Array.from({ length: depth }, (_, i) => this.#stacks.at(task, depth - 1 - i));
  }

  /** Runs of the scenario's recovery so far. */
  get recoveries(): number {
    return this.#recoveries?.runs ?? 0;
  }

  /** Whether a task has begun to exist and not ended. */
  isAlive(task: number): boolean {
    const state = this.kernel.tasks.state.values[task];
    return state === TaskState.running || state === TaskState.sleeping;
  }

  /** Whether every task has ended; the idle tasks never do. */
  get ended(): boolean {
    const { cpus, tasks } = this.machine;
    for (let task = cpus.length; task < tasks; task++) if (this.isAlive(task)) return false;
    return true;
  }

  /** CPUs that stand at an operation which waits. An idle task's own code is not meant: it halts, or is dead. */
  get stuck(): number[] {
    const { machine } = this;
    const cpus = machine.cpus.map(({ index }) => index);
    return cpus.filter((cpu) => {
      const { kind, a, b, c } = this.nodeOf(cpu);
      if (kind < 0 || machine.canExecute(kind & KIND_MASK, a, b, c)) return false;
      return this.taskOf(cpu) >= cpus.length || this.contextsOf(cpu).length > 1;
    });
  }

  /** Nothing can happen any more: checks what must hold at the end. */
  finish(): void {
    if (this.enabled.crashed) return;
    // A handler above an idle task may stand still as well.
    if (this.ended && this.stuck.length === 0) this.checker.end();
    else this.checker.violate('I16', DEADLOCK);
  }

  // ---- steps ----

  /** Detaches from the machine, which then runs unwatched again. */
  release(): void {
    this.machine.journal = null;
    this.#persistence?.detach();
  }

  /** Makes one step; `checker.violation` says whether it broke an invariant. */
  perform(action: Action): void {
    const { cpu, event } = action;
    const { machine, checker } = this;
    machine.cpu = machine.cpus[cpu] as typeof machine.cpu;
    machine.resultHigh = 0;
    this.#cpu = cpu;
    this.#task = this.#stacks.stackOf.values[cpu] as number;
    checker.cpu = cpu;
    if (event !== 'powerFail') this.#persistence?.begin();
    if (event !== null) this.#deliver(event, action.choice);
    else this.#step(this.#stacks.top(this.#task), action.choice);
    this.undo.settle();
    this.#persistence?.settle();
    // A step may break what must hold on another CPU.
    for (let i = 0; i < machine.cpus.length && checker.violation === null; i++) {
      checker.boundary(i, this.#stacks.stackOf.values[i] as number);
    }
  }

  #deliver(event: EventKind, choice: number): void {
    const { machine } = this;
    if (event === 'ipi') acknowledgeEvent(machine, this.#cpu, choice);
    else this.enabled.spend(event, this.#cpu);
    if (event === 'powerFail') {
      this.#powerFail();
      return;
    }
    if (event === 'migrate') this.kernel.sched.moveTo(this.#task, choice);
    const fixup = (this.#stacks.top(this.#task).kind & EXTABLE) !== 0;
    this.checker.keep(this.#task);
    const flags = machine.pushFrame();
    if (event === 'pageFault') {
      this.#push(this.#task, this.#entries.pageFault(PF_USER_MEMORY, USER_PAGE, flags, fixup));
    } else this.#pushEntry(vectorOf(event, choice), flags);
  }

  /** The run of all CPUs ends; the recovery runs in every way that what survived allows. */
  #powerFail(): void {
    this.enabled.crash();
    this.crash = this.#recoveries?.run() ?? null;
    if (this.crash === null) return;
    if (!this.crash.complete) this.enabled.truncated = true;
    if (this.crash.message !== null) this.checker.violate('recovery', this.crash.message);
  }

  /** Enters an interrupt, an NMI or a machine check. */
  #pushEntry(vector: number, flags: number): void {
    if (vector === NMI) this.machine.registers.nmiBlocked.poke(this.#cpu, 1);
    this.#push(this.#task, this.#entries.event(vector, flags));
  }

  /** Executes the next operation of the innermost context. */
  #step(node: Node, choice: number): void {
    const op = node.kind & KIND_MASK;
    if (op === Op.switchStack) {
      this.#switchStack(node);
      return;
    }
    const result = this.#executor.execute(node, choice);
    if (op === Op.sendIpi) this.enabled.noteIpi(node.b);
    const high = this.machine.resultHigh;
    this.onStep?.(this.#cpu, this.#task, node, result);
    // Who looked on may have run code again.
    this.machine.resultHigh = high;
    if (result === FAULTED) this.#fault(node);
    else {
      this.checker.operation(this.#task, node, result);
      if (reachOf(op) === 'memory') this.checker.access(this.#task, node);
      this.#advance(node, result, this.#executor.brought);
    }
  }

  #fault(node: Node): void {
    const { machine } = this;
    const { vector, errorCode, address } = machine.fault;
    const fixup = (node.kind & EXTABLE) !== 0;
    this.checker.fault(this.#task, node, errorCode, address);
    this.checker.keep(this.#task);
    const flags = machine.pushFrame();
    if (vector === VECTOR_PF) {
      machine.registers.cr2.poke(this.#cpu, address);
      this.#push(this.#task, this.#entries.pageFault(errorCode, address, flags, fixup));
    } else {
      this.#push(this.#task, this.#entries.fault(vector, errorCode, address, flags, fixup));
    }
  }

  /** The CPU leaves this stack; the other one goes on after its own switch, or starts. */
  #switchStack(node: Node): void {
    const next = node.a;
    const prev = node.b;
    const { tasks } = this.kernel;
    this.onStep?.(this.#cpu, this.#task, node, 0);
    if (tasks.state.values[prev] === TaskState.dead) this.#stacks.drop(prev);
    this.#stacks.stackOf.poke(this.#cpu, next);
    this.#task = next;
    const isNew = this.#stacks.depth.values[next] === 0;
    if (isNew) this.#push(next, this.#stacks.nextRoutine(next, false));
    else this.#advance(this.#stacks.top(next), prev, null);
  }

  // ---- contexts ----

  #push(task: number, routine: Routine): void {
    if ((this.#stacks.depth.values[task] as number) >= MAX_DEPTH) {
      this.checker.violate(
        'I16',
        `entries are nested deeper than ${MAX_DEPTH}: the stack overflows`,
      );
      return;
    }
    this.#stacks.grow(task);
    this.#settle(task, this.tries.root(routine));
  }

  /** Moves the innermost context past its operation. */
  #advance(node: Node, result: number, brought: Uint8Array | null): void {
    this.#settle(this.#task, this.tries.next(node, result, this.machine.resultHigh, brought));
  }

  /** Puts the innermost context at a node, past the local operations there; ends it where that is due. */
  #settle(task: number, start: Node): void {
    let node = start;
    if (node.created !== null) this.#stacks.create(node.created.task, node);
    while (node.kind >= 0 && node.kind < Op.boundary) {
      if (node.kind === Op.mark) this.checker.mark(task, node);
      const result = this.machine.execute(node.kind, node.a, node.b, node.c, node.d);
      node = this.tries.next(node, result, 0);
    }
    this.#stacks.setTop(task, node);
    if (node.kind === END) this.#end(task, node);
    else if (node.kind === PANIC) this.checker.violate('I16', node.panic);
  }

  #end(task: number, node: Node): void {
    this.#stacks.shrink(task);
    this.checker.forget(task);
    if (this.#stacks.depth.values[task] === 0) {
      this.#push(task, this.#stacks.nextRoutine(task, true));
    } else if (node.returned === Outcome.fixup && node.routine.frame === 'exception') {
      this.machine.resultHigh = 0;
      this.#advance(this.#stacks.top(task), FIXED_UP, null);
    }
  }
}

/** The vector by which an event is entered; that of an irq was chosen with it. */
function vectorOf(event: EventKind, choice: number): number {
  if (event === 'nmi' || (event === 'ipi' && choice === VECTOR_NMI)) return NMI;
  if (event === 'machineCheck' || (event === 'ipi' && choice === VECTOR_MC)) return MACHINE_CHECK;
  return event === 'preempt' || event === 'migrate' ? RESCHEDULE_VECTOR : choice;
}
