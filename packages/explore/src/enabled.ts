// SPDX-License-Identifier: MIT
// What can happen next in a system: which events the machine's rules and the budget let arrive, which CPUs
// can step.

import type { Kernel } from '@pkslab/kernel';
import { type Column, FAULTABLE, KIND_MASK, type Machine, Op } from '@pkslab/x86-cpu';
import { type Action, CpuActions } from './actions.ts';
import type { Node } from './node.ts';
import { type Budget, EVENT_KINDS, type EventKind } from './scenario.ts';
import { MAX_DEPTH, type Stacks } from './stacks.ts';

/** Where the budget of all kinds together stands, behind those of each. */
const TOTAL = EVENT_KINDS.length;

const bitOf = (kind: EventKind): number => 1 << EVENT_KINDS.indexOf(kind);
const IRQ = bitOf('irq');
const NMI = bitOf('nmi');
const PREEMPT = bitOf('preempt');
const PAGE_FAULT = bitOf('pageFault');

export class Enabled {
  /** Set where an event was left out because entries were nested too deep for it: the space was cut. */
  truncated = false;
  readonly #kernel: Kernel;
  readonly #machine: Machine;
  readonly #stacks: Stacks;
  readonly #actions: readonly CpuActions[];
  /** Events left: one cell a kind, then one for all kinds together. */
  readonly #budget: Column;
  /** Kinds that a schedule may have at all, a bit each. */
  #watched = 0;

  constructor(kernel: Kernel, stacks: Stacks, vectors: readonly number[]) {
    const { machine } = kernel;
    this.#kernel = kernel;
    this.#machine = machine;
    this.#stacks = stacks;
    this.#actions = machine.cpus.map((cpu) => new CpuActions(cpu.index, vectors));
    const name = 'explore.budget';
    const count = TOTAL + 1;
    this.#budget = machine.column({ name, type: 'u8', initial: 0, per: 'object', count });
  }

  /** Says how many events of each kind may still happen, and how many of all kinds together. */
  setBudget(budget: Budget, total: number): void {
    this.#watched = 0;
    for (const [i, kind] of EVENT_KINDS.entries()) {
      this.#budget.poke(i, budget[kind]);
      if (budget[kind] > 0) this.#watched |= 1 << i;
    }
    this.#budget.poke(TOTAL, total);
  }

  /** Takes an event off the budget. */
  spend(event: EventKind): void {
    for (const i of [EVENT_KINDS.indexOf(event), TOTAL]) {
      this.#budget.poke(i, (this.#budget.values[i] as number) - 1);
    }
  }

  /** Everything that could happen next. */
  actions(): Action[] {
    const into: Action[] = [];
    let count = 0;
    for (const { index } of this.#machine.cpus) {
      count = this.list(index, this.allowed(index), into, count);
    }
    return into;
  }

  /** Writes what could happen next on a CPU behind `count` others; `allowed` as given by {@link allowed}. */
  list(cpu: number, allowed: number, into: Action[], count: number): number {
    const node = this.#nodeOf(cpu);
    const own = this.#actions[cpu] as CpuActions;
    let end = count;
    // Events first: the first violation found is then an early one.
    const events = allowed & this.#affordable;
    if (events !== 0) {
      for (let kind = 0; kind < TOTAL; kind++) {
        if ((events & (1 << kind)) === 0) continue;
        for (const action of own.events[kind] as readonly Action[]) into[end++] = action;
      }
    }
    const op = node.kind & KIND_MASK;
    if (op === Op.choose) {
      this.#machine.cpu = this.#machine.cpus[cpu] as Machine['cpu'];
      const choices = this.#machine.choosers[node.a]?.alternatives(node.b) ?? [];
      for (const choice of choices) into[end++] = own.alternative(choice);
    } else if (this.#canStep(cpu, node, op)) {
      into[end++] = own.step;
    }
    return end;
  }

  #canStep(cpu: number, node: Node, op: number): boolean {
    if (op === Op.halt) return this.#kernel.sched.haltEnds(cpu);
    return this.#machine.canExecute(op, node.a, node.b, node.c);
  }

  /** Kinds of which a schedule may have another one, a bit each. */
  get #affordable(): number {
    const { values } = this.#budget;
    if (values[TOTAL] === 0) return 0;
    let kinds = 0;
    for (let i = 0; i < TOTAL; i++) if ((values[i] as number) > 0) kinds |= 1 << i;
    return kinds;
  }

  /** Kinds of events, a bit each, that the machine's rules let arrive before a CPU's next operation. */
  allowed(cpu: number): number {
    const watched = this.#watched;
    if (watched === 0) return 0;
    const { registers } = this.#machine;
    const task = this.#stacks.stackOf.values[cpu] as number;
    const node = this.#stacks.top(task);
    let kinds = registers.nmiBlocked.values[cpu] === 0 ? NMI : 0;
    // An exception is not masked by IF.
    if ((node.kind & FAULTABLE) !== 0) kinds |= PAGE_FAULT;
    if (registers.interruptFlag.values[cpu] === 1) {
      kinds |= IRQ;
      if ((watched & PREEMPT) !== 0 && this.#preemptible(cpu)) kinds |= PREEMPT;
    }
    kinds &= watched;
    // One context is left for a fault of the entry itself.
    if (kinds !== 0 && (this.#stacks.depth.values[task] as number) >= MAX_DEPTH - 1) {
      if ((kinds & this.#affordable) !== 0) this.truncated = true;
      return 0;
    }
    return kinds;
  }

  #preemptible(cpu: number): boolean {
    const { preempt, sched } = this.#kernel;
    return preempt.count.column.values[cpu] === 0 && sched.anyoneWaits;
  }

  #nodeOf(cpu: number): Node {
    return this.#stacks.top(this.#stacks.stackOf.values[cpu] as number);
  }
}
