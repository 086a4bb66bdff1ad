// SPDX-License-Identifier: MIT
// The system being explored: the machine's cells, and for each task a stack of suspended routines.

import { type Kernel, Mark, RESCHEDULE_VECTOR, TaskState } from '@pkslab/kernel';
import {
  type Column,
  EXTABLE,
  FAULTABLE,
  FAULTED,
  FIXED_UP,
  KIND_MASK,
  type Machine,
  Op,
  Outcome,
} from '@pkslab/x86-cpu';
import type { FrameKind, Invariant, PreservedCell, View } from './invariant.ts';
import { UndoLog } from './journal.ts';
import { EVENT_KINDS, type EventKind, type Setup } from './scenario.ts';
import { END, type Node, PANIC, type Routine, Tries } from './trie.ts';

const MAX_DEPTH = 8;

/** A violated invariant, found by the step that was just made. */
export interface Violation {
  readonly invariant: string;
  readonly message: string;
}

/** A step of a schedule: the next operation of a CPU (with the alternative it takes), or an event on it. */
export interface Action {
  readonly cpu: number;
  readonly event: EventKind | null;
  /** The alternative of a `choose`, or the vector of an irq. */
  readonly choice: number;
}

/** Told of each operation as it is executed; for traces. */
export type StepObserver = (cpu: number, task: number, node: Node, result: number) => void;

export class System implements View {
  readonly machine: Machine;
  readonly kernel: Kernel;
  readonly tries: Tries;
  readonly undo: UndoLog = new UndoLog();
  readonly budget: Column;
  readonly stackOf: Column;
  violation: Violation | null = null;
  onStep: StepObserver | null = null;
  // View
  cpu = 0;
  task = 0;
  frame: FrameKind = 'task';
  windows = 0;
  grants = 0;
  readonly #frames: Column;
  readonly #depth: Column;
  readonly #call: Column;
  readonly #kept: Column;
  readonly #preserved: readonly { cell: PreservedCell; id: string }[];
  readonly #invariants: readonly Invariant[];
  readonly #tasks: readonly number[];
  readonly #vectors: readonly number[];
  readonly #idle: readonly Routine[];
  readonly #boundaryChecks: readonly Invariant[];
  readonly #markChecks: readonly Invariant[];

  constructor(setup: Setup) {
    const { kernel } = setup;
    const { machine } = kernel;
    this.kernel = kernel;
    this.machine = machine;
    this.tries = new Tries(machine, kernel.printk);
    this.#invariants = setup.invariants;
    this.#boundaryChecks = setup.invariants.filter((check) => check.boundary !== undefined);
    this.#markChecks = setup.invariants.filter((check) => check.mark !== undefined);
    this.#tasks = setup.tasks;
    this.#vectors = setup.vectors ?? [0x20];
    this.#preserved = setup.invariants.flatMap((check) =>
      (check.preserves ?? []).map((cell) => ({ cell, id: check.id })),
    );
    const object = (name: string, count: number, initial = 0): Column =>
      machine.column({ name: `explore.${name}`, type: 'address', initial, per: 'object', count });
    const slots = machine.tasks * MAX_DEPTH;
    this.budget = object('budget', EVENT_KINDS.length + 1);
    this.stackOf = object('stack', machine.cpus.length);
    this.#frames = object('frames', slots);
    this.#depth = object('depth', machine.tasks);
    this.#call = object('call', machine.tasks, -1);
    this.#kept = object('kept', slots * Math.max(1, this.#preserved.length));
    this.#idle = machine.cpus.map((cpu) =>
      this.tries.routine(`idle:${cpu.index}`, () => {
        for (const call of kernel.tasks.code(cpu.index).calls) call();
        return 0;
      }),
    );
    machine.journal = this.undo;
    this.undo.onBytesUndone = () => {
      for (const cpu of machine.cpus) cpu.tlb.flush(true);
    };
    this.#start();
  }

  /** Takes the first task onto CPU 0, the second onto CPU 1 …: up to the start of its first call. */
  #start(): void {
    for (const cpu of this.machine.cpus) {
      this.stackOf.poke(cpu.index, cpu.index);
      this.#push(cpu.index, this.#idle[cpu.index] as Routine);
      const task = this.#tasks[cpu.index];
      if (task === undefined) continue;
      while (
        this.violation === null &&
        (this.task !== task || (this.#call.values[task] as number) < 0)
      ) {
        this.perform({ cpu: cpu.index, event: null, choice: task });
      }
    }
  }

  // ---- what can happen ----

  /** The node that a CPU's innermost context is at. */
  nodeOf(cpu: number): Node {
    const task = this.stackOf.values[cpu] as number;
    const depth = this.#depth.values[task] as number;
    return this.tries.nodes[this.#frames.values[task * MAX_DEPTH + depth - 1] as number] as Node;
  }

  /** Appends to `into` everything that could happen next on a CPU. */
  actions(cpu: number, into: Action[]): void {
    const node = this.nodeOf(cpu);
    const op = node.kind & KIND_MASK;
    this.machine.cpu = this.machine.cpus[cpu] as typeof this.machine.cpu;
    // Events first: the first violation found is then an early one.
    for (const event of EVENT_KINDS) {
      if (!this.allows(cpu, node, event) || !this.#affordable(event)) continue;
      if (event !== 'irq') into.push({ cpu, event, choice: 0 });
      else for (const vector of this.#vectors) into.push({ cpu, event, choice: vector });
    }
    if (op === Op.choose) {
      const chooser = this.machine.choosers[node.a];
      for (const choice of chooser?.alternatives(node.b) ?? [])
        into.push({ cpu, event: null, choice });
    } else if (this.#canStep(node, op)) {
      into.push({ cpu, event: null, choice: 0 });
    }
  }

  #canStep(node: Node, op: number): boolean {
    if (op === Op.halt) return this.kernel.sched.anyoneWaits;
    return this.machine.canExecute(op, node.a, node.b, node.c);
  }

  #affordable(event: EventKind): boolean {
    const { values } = this.budget;
    return (
      (values[EVENT_KINDS.length] as number) > 0 &&
      (values[EVENT_KINDS.indexOf(event)] as number) > 0
    );
  }

  /** Whether the machine's rules let an event arrive before a CPU's next operation. */
  allows(cpu: number, node: Node, event: EventKind): boolean {
    const { registers } = this.machine;
    const task = this.stackOf.values[cpu] as number;
    if ((this.#depth.values[task] as number) >= MAX_DEPTH - 1) return false;
    const idle = task < this.machine.cpus.length;
    if (event === 'nmi') return !idle && registers.nmiBlocked.values[cpu] === 0;
    if (idle || registers.interruptFlag.values[cpu] === 0) return false;
    if (event === 'irq') return true;
    if (event === 'pageFault') return (node.kind & FAULTABLE) !== 0;
    return this.kernel.preempt.count.column.values[cpu] === 0 && this.kernel.sched.anyoneWaits;
  }

  /** Whether every task of the scenario has ended. */
  get ended(): boolean {
    const { values } = this.kernel.tasks.state;
    return this.#tasks.every((task) => values[task] === TaskState.dead);
  }

  // ---- steps ----

  /** Makes one step; `violation` says whether it broke an invariant. */
  perform(action: Action): void {
    const { cpu, event, choice } = action;
    this.machine.cpu = this.machine.cpus[cpu] as typeof this.machine.cpu;
    this.cpu = cpu;
    this.task = this.stackOf.values[cpu] as number;
    if (event !== null) this.#deliver(event, choice);
    else this.#step(this.nodeOf(cpu), choice);
    this.undo.settle();
    if (this.violation === null) this.#checkBoundary();
  }

  #deliver(event: EventKind, vector: number): void {
    const { machine } = this;
    const index = EVENT_KINDS.indexOf(event);
    this.budget.poke(index, (this.budget.values[index] as number) - 1);
    this.budget.poke(EVENT_KINDS.length, (this.budget.values[EVENT_KINDS.length] as number) - 1);
    const address = this.nodeOf(this.cpu).a;
    this.#keep();
    const flag = machine.pushFrame();
    if (event === 'nmi') {
      machine.registers.nmiBlocked.poke(this.cpu, 1);
      this.#push(
        this.task,
        this.#handler(`nmi:${flag}`, () => machine.handlers?.nmi(flag)),
      );
    } else if (event === 'pageFault') {
      this.#pushPageFault(0, address > 0 ? address : 0x1000, flag, false);
    } else {
      const v = event === 'preempt' ? RESCHEDULE_VECTOR : vector;
      this.#push(
        this.task,
        this.#handler(`irq:${v}:${flag}`, () => machine.handlers?.interrupt(v, flag)),
      );
    }
  }

  #handler(key: string, run: () => void): Routine {
    return this.tries.routine(key, () => {
      run();
      return Outcome.retry;
    });
  }

  #pushPageFault(code: number, address: number, flag: number, fixup: boolean): void {
    const { handlers } = this.machine;
    const key = `exception:14:${code}:${address}:${flag}:${fixup}`;
    const routine = this.tries.routine(
      key,
      () => handlers?.pageFault(code, address, flag, fixup) ?? 0,
    );
    this.#push(this.task, routine);
  }

  /** Executes the next operation of the innermost context. */
  #step(node: Node, choice: number): void {
    const { machine } = this;
    const op = node.kind & KIND_MASK;
    if (op === Op.switchStack) {
      this.#switchStack(node);
      return;
    }
    let result = choice;
    if (op === Op.choose) machine.choosers[node.a]?.take(choice);
    else result = machine.execute(node.kind, node.a, node.b, node.c, node.d);
    this.onStep?.(this.cpu, this.task, node, result);
    if (result === FAULTED) this.#fault(node);
    else this.#advance(node, result);
  }

  #fault(node: Node): void {
    const { machine } = this;
    const { vector, errorCode, address } = machine.fault;
    const fixup = (node.kind & EXTABLE) !== 0;
    this.#look(node);
    for (const check of this.#invariants) {
      if (check.fault !== undefined) this.#report(check, check.fault(this, errorCode, address));
    }
    this.#keep();
    const flag = machine.pushFrame();
    if (vector === 14) {
      machine.registers.cr2.poke(this.cpu, address);
      this.#pushPageFault(errorCode, address, flag, fixup);
    } else {
      const key = `exception:13:${errorCode}:${flag}:${fixup}`;
      const run = (): number => machine.handlers?.generalProtection(errorCode, flag, fixup) ?? 0;
      this.#push(this.task, this.tries.routine(key, run));
    }
  }

  /** The CPU leaves this stack; the other one goes on after its own switch, or starts. */
  #switchStack(node: Node): void {
    const next = node.a;
    const prev = node.b;
    this.onStep?.(this.cpu, this.task, node, 0);
    this.kernel.tasks.onCpu.poke(prev, 0);
    if (this.kernel.tasks.state.values[prev] === TaskState.dead) this.#drop(prev);
    this.stackOf.poke(this.cpu, next);
    this.task = next;
    if ((this.#depth.values[next] as number) === 0) this.#push(next, this.#startRoutine(next));
    else this.#advance(this.nodeOf(this.cpu), prev);
  }

  /** A dead task's frames are never gone back to. */
  #drop(task: number): void {
    const depth = this.#depth.values[task] as number;
    for (let i = 0; i < depth; i++) this.#frames.poke(task * MAX_DEPTH + i, 0);
    this.#depth.poke(task, 0);
  }

  #startRoutine(task: number): Routine {
    return this.tries.routine(`start:${task}`, () => {
      this.kernel.sched.startTask(task);
      return 0;
    });
  }

  /** The routine of a task's n-th call, or its do_exit. */
  #callRoutine(task: number, call: number): Routine {
    const code = this.kernel.tasks.code(task);
    const fn = code.calls[call];
    return this.tries.routine(`${code.name}:${fn === undefined ? 'exit' : call}:${task}`, () => {
      if (fn === undefined) this.kernel.sched.doExit();
      else fn();
      return 0;
    });
  }

  // ---- frames ----

  #push(task: number, routine: Routine): void {
    const depth = this.#depth.values[task] as number;
    this.#depth.poke(task, depth + 1);
    this.#settleNode(task, depth, this.tries.root(routine));
  }

  /** Moves the innermost context past its operation. */
  #advance(node: Node, result: number): void {
    const depth = (this.#depth.values[this.task] as number) - 1;
    this.#settleNode(this.task, depth, this.tries.next(node, result, this.machine.resultHigh));
  }

  /** Puts a context at a node, after the local operations there; ends its routine where that is due. */
  #settleNode(task: number, depth: number, start: Node): void {
    let node = start;
    const { machine } = this;
    while (node.kind >= 0 && node.kind < Op.boundary) {
      machine.resultHigh = 0;
      if (node.kind === Op.mark) this.#mark(task, depth, node);
      const result = machine.execute(node.kind, node.a, node.b, node.c, node.d);
      node = this.tries.next(node, result, 0);
    }
    this.#frames.poke(task * MAX_DEPTH + depth, node.id);
    if (node.kind === END) this.#end(task, depth, node);
    else if (node.kind === PANIC && this.violation === null) {
      this.violation = { invariant: 'I16', message: node.panic };
    }
  }

  #end(task: number, depth: number, node: Node): void {
    this.#frames.poke(task * MAX_DEPTH + depth, 0);
    this.#depth.poke(task, depth);
    if (depth === 0) {
      this.#nextCall(task);
      return;
    }
    if (node.routine.key.startsWith('exception') && node.returned === Outcome.fixup) {
      this.machine.resultHigh = 0;
      this.#advance(this.nodeOf(this.cpu), FIXED_UP);
    }
  }

  #nextCall(task: number): void {
    const idle = this.#idle[task];
    if (idle !== undefined) {
      this.#push(task, idle);
      return;
    }
    const call = (this.#call.values[task] as number) + 1;
    this.#call.poke(task, call);
    this.#push(task, this.#callRoutine(task, call));
  }

  // ---- checks ----

  /** Sets the view to a context that is at `node`. */
  #look(node: Node): void {
    const depth = this.#depth.values[this.task] as number;
    this.frame = frameKind(depth, node.routine.key);
    this.windows = node.windows;
    this.grants = node.grants;
  }

  get stackWindows(): number {
    let windows = 0;
    for (const node of this.#stack(this.task)) windows |= node.windows;
    return windows;
  }

  get grantsElsewhere(): boolean {
    for (let task = 0; task < this.machine.tasks; task++) {
      const stack = this.#stack(task);
      const end = task === this.task ? stack.length - 1 : stack.length;
      for (let i = 0; i < end; i++) if ((stack[i] as Node).grants > 0) return true;
    }
    return false;
  }

  /** The nodes of a task's contexts, outermost first. */
  #stack(task: number): Node[] {
    const stack: Node[] = [];
    for (let i = 0; i < (this.#depth.values[task] as number); i++) {
      stack.push(this.tries.nodes[this.#frames.values[task * MAX_DEPTH + i] as number] as Node);
    }
    return stack;
  }

  #checkBoundary(): void {
    this.task = this.stackOf.values[this.cpu] as number;
    if (this.task < this.machine.cpus.length) return;
    this.#look(this.nodeOf(this.cpu));
    for (const check of this.#boundaryChecks) this.#report(check, check.boundary?.(this) ?? null);
  }

  #mark(task: number, depth: number, node: Node): void {
    this.task = task;
    this.frame = frameKind(depth + 1, node.routine.key);
    this.windows = node.windows;
    this.grants = node.grants;
    if (node.b === 0) return;
    if (node.a === Mark.restored) this.#comparePreserved(task, depth);
    for (const check of this.#markChecks)
      this.#report(check, check.mark?.(this, node.a, node.c) ?? null);
  }

  #report(check: Invariant, message: string | null): void {
    if (message !== null && this.violation === null)
      this.violation = { invariant: check.id, message };
  }

  /** Keeps what the context that is about to be entered must leave unchanged. */
  #keep(): void {
    const depth = this.#depth.values[this.task] as number;
    const base = (this.task * MAX_DEPTH + depth) * this.#preserved.length;
    for (let i = 0; i < this.#preserved.length; i++) {
      const { column, index } = (this.#preserved[i] as { cell: PreservedCell }).cell;
      this.#kept.poke(base + i, column.values[index(this)] as number);
    }
  }

  #comparePreserved(task: number, depth: number): void {
    const base = (task * MAX_DEPTH + depth) * this.#preserved.length;
    for (let i = 0; i < this.#preserved.length; i++) {
      const { cell, id } = this.#preserved[i] as { cell: PreservedCell; id: string };
      const before = this.#kept.values[base + i] as number;
      const now = cell.column.values[cell.index(this)] as number;
      if (before === now || this.violation !== null) continue;
      const { name } = cell.column.field;
      this.violation = {
        invariant: id,
        message: `a handler was entered with ${name} = ${hex(before)} and leaves ${hex(now)}`,
      };
    }
  }

  /** Checks that are due once every task has ended. */
  checkEnd(): void {
    for (const check of this.#invariants) this.#report(check, check.end?.(this) ?? null);
  }
}

function frameKind(depth: number, key: string): FrameKind {
  if (depth === 1) return 'task';
  if (key.startsWith('nmi')) return 'nmi';
  return key.startsWith('irq') ? 'irq' : 'exception';
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
