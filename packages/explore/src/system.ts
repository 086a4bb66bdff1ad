// SPDX-License-Identifier: MIT
// The system being explored: what can happen next, and what a step does.

import { type Kernel, PF_USER_MEMORY, RESCHEDULE_VECTOR, TaskState } from '@pkslab/kernel';
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
import { Checker } from './checker.ts';
import { UndoLog } from './journal.ts';
import { EVENT_KINDS, type EventKind, type Setup } from './scenario.ts';
import { MAX_DEPTH, Stacks } from './stacks.ts';
import { END, type Node, PANIC, type Routine, Tries } from './trie.ts';

/** Where the user memory lies that a `pageFault` event says is not present. */
const USER_PAGE = 0x1000;

/** A step of a schedule: the next operation of a CPU (with the alternative it takes), or an event on it. */
export interface Action {
  readonly cpu: number;
  readonly event: EventKind | null;
  /** The alternative of a `choose`, or the vector of an irq. */
  readonly choice: number;
}

/** Told of each operation as it is executed; for traces. */
export type StepObserver = (cpu: number, task: number, node: Node, result: number) => void;

export class System {
  readonly machine: Machine;
  readonly kernel: Kernel;
  readonly tries: Tries;
  readonly undo: UndoLog = new UndoLog();
  readonly checker: Checker;
  /** Events left: one cell a kind, then one for all kinds together. */
  readonly budget: Column;
  onStep: StepObserver | null = null;
  readonly #stacks: Stacks;
  readonly #vectors: readonly number[];
  #cpu = 0;
  #task = 0;

  constructor(setup: Setup) {
    const { kernel } = setup;
    const { machine } = kernel;
    this.kernel = kernel;
    this.machine = machine;
    this.tries = new Tries(machine, kernel.printk);
    this.#stacks = new Stacks(kernel, this.tries);
    this.checker = new Checker(machine, this.#stacks, setup.invariants);
    this.#vectors = setup.vectors ?? [0x20];
    const count = EVENT_KINDS.length + 1;
    const name = 'explore.budget';
    this.budget = machine.column({ name, type: 'u8', initial: 0, per: 'object', count });
    machine.journal = this.undo;
    this.undo.onBytesUndone = () => {
      for (const cpu of machine.cpus) cpu.tlb.flush(true);
    };
    for (const cpu of machine.cpus) this.#start(cpu.index, setup.tasks[cpu.index]);
  }

  /** Takes a task onto a CPU: through idle and the switch, up to the start of its first call. */
  #start(cpu: number, task: number | undefined): void {
    this.#stacks.stackOf.poke(cpu, cpu);
    this.#push(cpu, this.#stacks.nextRoutine(cpu, true));
    if (task === undefined) return;
    while (this.checker.violation === null && !this.#stacks.hasBegun(task)) {
      this.perform({ cpu, event: null, choice: task });
    }
  }

  // ---- what can happen ----

  /** The node that a CPU's innermost context is at. */
  nodeOf(cpu: number): Node {
    return this.#stacks.top(this.#stacks.stackOf.values[cpu] as number);
  }

  /** Appends to `into` everything that could happen next on a CPU. */
  actions(cpu: number, into: Action[]): void {
    const node = this.nodeOf(cpu);
    this.machine.cpu = this.machine.cpus[cpu] as typeof this.machine.cpu;
    // Events first: the first violation found is then an early one.
    for (const event of EVENT_KINDS) {
      if (!this.#affordable(event) || !this.allows(cpu, node, event)) continue;
      if (event !== 'irq') into.push({ cpu, event, choice: 0 });
      else for (const vector of this.#vectors) into.push({ cpu, event, choice: vector });
    }
    const op = node.kind & KIND_MASK;
    if (op === Op.choose) {
      const choices = this.machine.choosers[node.a]?.alternatives(node.b) ?? [];
      for (const choice of choices) into.push({ cpu, event: null, choice });
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
    if (values[EVENT_KINDS.length] === 0) return false;
    return (values[EVENT_KINDS.indexOf(event)] as number) > 0;
  }

  /** Whether the machine's rules let an event arrive before a CPU's next operation. */
  allows(cpu: number, node: Node, event: EventKind): boolean {
    const { registers } = this.machine;
    const task = this.#stacks.stackOf.values[cpu] as number;
    if ((this.#stacks.depth.values[task] as number) >= MAX_DEPTH - 1) return false;
    if (event === 'nmi') return registers.nmiBlocked.values[cpu] === 0;
    if (registers.interruptFlag.values[cpu] === 0) return false;
    if (event === 'irq') return true;
    if (event === 'pageFault') return (node.kind & FAULTABLE) !== 0;
    return this.kernel.preempt.count.column.values[cpu] === 0 && this.kernel.sched.anyoneWaits;
  }

  /** Whether every task has ended; the idle tasks never do. */
  get ended(): boolean {
    const { values } = this.kernel.tasks.state;
    for (let task = this.machine.cpus.length; task < values.length; task++) {
      if (values[task] === TaskState.running || values[task] === TaskState.sleeping) return false;
    }
    return true;
  }

  // ---- steps ----

  /** Makes one step; `checker.violation` says whether it broke an invariant. */
  perform(action: Action): void {
    const { cpu, event, choice } = action;
    this.machine.cpu = this.machine.cpus[cpu] as typeof this.machine.cpu;
    this.machine.resultHigh = 0;
    this.#cpu = cpu;
    this.#task = this.#stacks.stackOf.values[cpu] as number;
    this.checker.cpu = cpu;
    if (event !== null) this.#deliver(event, choice);
    else this.#step(this.#stacks.top(this.#task), choice);
    this.undo.settle();
    if (this.checker.violation === null) {
      this.checker.boundary(this.#stacks.stackOf.values[cpu] as number);
    }
  }

  #deliver(event: EventKind, vector: number): void {
    const { machine } = this;
    this.#spend(EVENT_KINDS.indexOf(event));
    this.#spend(EVENT_KINDS.length);
    const fixup = (this.#stacks.top(this.#task).kind & EXTABLE) !== 0;
    this.checker.keep(this.#task);
    const flag = machine.pushFrame();
    if (event === 'pageFault') {
      this.#pushPageFault(PF_USER_MEMORY, USER_PAGE, flag, fixup);
      return;
    }
    if (event === 'nmi') machine.registers.nmiBlocked.poke(this.#cpu, 1);
    const v = event === 'preempt' ? RESCHEDULE_VECTOR : vector;
    const key = event === 'nmi' ? `nmi:${flag}` : `irq:${v}:${flag}`;
    const routine = this.tries.routine(key, () => {
      if (event === 'nmi') machine.handlers?.nmi(flag);
      else machine.handlers?.interrupt(v, flag);
      return Outcome.retry;
    });
    this.#push(this.#task, routine);
  }

  #spend(kind: number): void {
    this.budget.poke(kind, (this.budget.values[kind] as number) - 1);
  }

  #pushPageFault(code: number, address: number, flag: number, fixup: boolean): void {
    const { handlers } = this.machine;
    const key = `exception:14:${code}:${address}:${flag}:${fixup}`;
    const run = (): number => handlers?.pageFault(code, address, flag, fixup) ?? 0;
    this.#push(this.#task, this.tries.routine(key, run));
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
    this.onStep?.(this.#cpu, this.#task, node, result);
    if (result === FAULTED) {
      this.#fault(node);
      return;
    }
    if (op >= Op.load8 && op <= Op.copyIn) this.checker.access(this.#task, node);
    this.#advance(node, result);
  }

  #fault(node: Node): void {
    const { machine } = this;
    const { vector, errorCode, address } = machine.fault;
    const fixup = (node.kind & EXTABLE) !== 0;
    this.checker.fault(this.#task, node, errorCode, address);
    this.checker.keep(this.#task);
    const flag = machine.pushFrame();
    if (vector === 14) {
      machine.registers.cr2.poke(this.#cpu, address);
      this.#pushPageFault(errorCode, address, flag, fixup);
      return;
    }
    const key = `exception:${vector}:${errorCode}:${flag}:${fixup}`;
    const run = (): number => machine.handlers?.generalProtection(errorCode, flag, fixup) ?? 0;
    this.#push(this.#task, this.tries.routine(key, run));
  }

  /** The CPU leaves this stack; the other one goes on after its own switch, or starts. */
  #switchStack(node: Node): void {
    const next = node.a;
    const prev = node.b;
    const { tasks } = this.kernel;
    this.onStep?.(this.#cpu, this.#task, node, 0);
    tasks.onCpu.poke(prev, 0);
    if (tasks.state.values[prev] === TaskState.dead) this.#stacks.drop(prev);
    this.#stacks.stackOf.poke(this.#cpu, next);
    this.#task = next;
    const isNew = this.#stacks.depth.values[next] === 0;
    if (isNew) this.#push(next, this.#stacks.nextRoutine(next, false));
    else this.#advance(this.#stacks.top(next), prev);
  }

  // ---- contexts ----

  #push(task: number, routine: Routine): void {
    this.#stacks.grow(task);
    this.#settle(task, this.tries.root(routine));
  }

  /** Moves the innermost context past its operation. */
  #advance(node: Node, result: number): void {
    this.#settle(this.#task, this.tries.next(node, result, this.machine.resultHigh));
  }

  /** Puts the innermost context at a node, past the local operations there; ends it where that is due. */
  #settle(task: number, start: Node): void {
    let node = start;
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
    if (this.#stacks.depth.values[task] === 0) {
      this.#push(task, this.#stacks.nextRoutine(task, true));
    } else if (node.returned === Outcome.fixup && node.routine.key.startsWith('exception')) {
      this.machine.resultHigh = 0;
      this.#advance(this.#stacks.top(task), FIXED_UP);
    }
  }
}
