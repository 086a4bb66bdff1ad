// SPDX-License-Identifier: MIT
// What can happen next in a system: which events the machine's rules and the budget let arrive, which CPUs
// can step.

import type { Kernel } from '@pkslab/kernel';
import {
  type Column,
  deliverableEvent,
  FAULTABLE,
  KIND_MASK,
  type Machine,
  Op,
} from '@pkslab/x86-cpu';
import { type Action, CpuActions } from './actions.ts';
import { type Budget, EVENT_KINDS, type EventKind, wholeBudget } from './budget.ts';
import type { Conflicts } from './conflict.ts';
import type { Node } from './node.ts';
import { MAX_DEPTH, type Stacks } from './stacks.ts';

/** Where the budget of all kinds together stands, behind those of each. */
const TOTAL = EVENT_KINDS.length;

const bitOf = (kind: EventKind): number => 1 << EVENT_KINDS.indexOf(kind);
const IRQ = bitOf('irq');
const NMI = bitOf('nmi');
const PREEMPT = bitOf('preempt');
const PAGE_FAULT = bitOf('pageFault');
const MACHINE_CHECK = bitOf('machineCheck');
const MIGRATE = bitOf('migrate');
const IPI = bitOf('ipi');
const POWER_FAIL = bitOf('powerFail');
/** NMIs and machine checks have lower vectors. */
const FIRST_MASKABLE = 32;
/** Kinds that run a handler and go back. */
const HANDLERS = IRQ | NMI | MACHINE_CHECK;

export class Enabled {
  /** Set where an event was left out because entries were nested too deep for it: the space was cut. */
  truncated = false;
  /** Whether any IPI was sent so far, on any path. */
  ipis = false;
  /** The same of those that IF does not mask. */
  nmiIpis = false;
  /** Says where interrupts matter; null: everywhere. */
  conflicts: Conflicts | null = null;
  /** Kinds that {@link allowed} left out the last time, because they do not matter there. */
  leftOut = 0;
  readonly #kernel: Kernel;
  readonly #machine: Machine;
  readonly #stacks: Stacks;
  readonly #actions: readonly CpuActions[];
  /** Events left: one cell a kind, then one for all kinds together; the same for each CPU behind these. */
  readonly #budget: Column;
  /** Whether the power has failed. */
  readonly #crashed: Column;
  /** Kinds that a schedule may have at all, a bit each. */
  #watched = 0;
  /** Kinds that are limited on each CPU, a bit each. */
  #perCpu = 0;

  constructor(kernel: Kernel, stacks: Stacks, vectors: readonly number[]) {
    const { machine } = kernel;
    const { cpus } = machine;
    this.#kernel = kernel;
    this.#machine = machine;
    this.#stacks = stacks;
    this.#actions = cpus.map((cpu) => new CpuActions(cpu.index, vectors, cpus.length));
    const name = 'explore.budget';
    const count = (TOTAL + 1) * (cpus.length + 1);
    this.#budget = machine.column({ name, type: 'u8', initial: 0, per: 'object', count });
    const crashed = 'explore.crashed';
    this.#crashed = machine.column({ name: crashed, type: 'bool', initial: 0, per: 'global' });
  }

  /** Says how many events of each kind may still happen, and how many of all kinds together. */
  setBudget(budget: Budget, total: number): void {
    const { cpus } = this.#machine;
    const whole = wholeBudget(budget, cpus.length);
    this.#watched = 0;
    this.#perCpu = 0;
    for (const [i, kind] of EVENT_KINDS.entries()) {
      if (kind === 'ipi') continue;
      this.#budget.poke(i, whole[kind]);
      if (whole[kind] > 0) this.#watched |= 1 << i;
      const each = budget.perCpu?.[kind];
      if (each === undefined) continue;
      this.#perCpu |= 1 << i;
      for (const { index } of cpus) this.#budget.poke((TOTAL + 1) * (index + 1) + i, each);
    }
    this.#budget.poke(TOTAL, total);
  }

  /** Whether the power has failed: nothing happens any more. */
  get crashed(): boolean {
    return this.#crashed.values[0] === 1;
  }

  /** The power fails: no CPU takes another step. */
  crash(): void {
    this.#crashed.poke(0, 1);
  }

  /** An IPI was sent, for the first time perhaps. */
  noteIpi(vector: number): void {
    this.ipis = true;
    if (vector < FIRST_MASKABLE) this.nmiIpis = true;
  }

  /** Takes an event on a CPU off the budget. */
  spend(event: EventKind, cpu: number): void {
    const kind = EVENT_KINDS.indexOf(event);
    this.#take(kind);
    this.#take(TOTAL);
    if ((this.#perCpu & (1 << kind)) !== 0) this.#take((TOTAL + 1) * (cpu + 1) + kind);
  }

  #take(cell: number): void {
    this.#budget.poke(cell, (this.#budget.values[cell] as number) - 1);
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
    if ((this.#watched & POWER_FAIL) !== 0 && this.crashed) return count;
    const node = this.#nodeOf(cpu);
    const own = this.#actions[cpu] as CpuActions;
    let end = count;
    // Events first: the first violation found is then an early one.
    if (allowed !== 0) end = this.#listEvents(cpu, own, allowed, into, end);
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

  #listEvents(
    cpu: number,
    own: CpuActions,
    allowed: number,
    into: Action[],
    count: number,
  ): number {
    let end = count;
    if ((allowed & IPI) !== 0) into[end++] = own.arrival(deliverableEvent(this.#machine, cpu));
    const events = allowed & ~IPI & this.#affordable(cpu);
    if (events === 0) return end;
    for (let kind = 0; kind < TOTAL; kind++) {
      if ((events & (1 << kind)) === 0) continue;
      for (const action of own.events[kind] as readonly Action[]) {
        if (1 << kind !== MIGRATE || this.#canMigrateTo(cpu, action.choice)) into[end++] = action;
      }
    }
    return end;
  }

  #canStep(cpu: number, node: Node, op: number): boolean {
    if (op === Op.halt) return this.#kernel.sched.haltEnds(cpu);
    return this.#machine.canExecute(op, node.a, node.b, node.c);
  }

  /** Kinds of which a schedule may have another one on a CPU, a bit each. */
  #affordable(cpu: number): number {
    const { values } = this.#budget;
    if (values[TOTAL] === 0) return 0;
    const own = (TOTAL + 1) * (cpu + 1);
    let kinds = 0;
    for (let i = 0; i < TOTAL; i++) {
      if (values[i] === 0) continue;
      if ((this.#perCpu & (1 << i)) !== 0 && values[own + i] === 0) continue;
      kinds |= 1 << i;
    }
    return kinds;
  }

  /** Kinds of events, a bit each, that the machine's rules let arrive before a CPU's next operation. */
  allowed(cpu: number): number {
    const watched = this.#watched;
    if (watched === 0 && !this.ipis) return 0;
    const { registers } = this.#machine;
    const task = this.#stacks.stackOf.values[cpu] as number;
    const node = this.#stacks.top(task);
    let kinds = registers.nmiBlocked.values[cpu] === 0 ? NMI : 0;
    // An exception is not masked by IF.
    if ((node.kind & FAULTABLE) !== 0) kinds |= PAGE_FAULT;
    if ((watched & MACHINE_CHECK) !== 0 && this.#takesMachineChecks(task)) kinds |= MACHINE_CHECK;
    if (registers.interruptFlag.values[cpu] === 1) kinds |= this.#maskable(cpu, task);
    kinds &= watched;
    if (this.conflicts !== null) kinds = this.#leaveOut(this.conflicts.matters(node), kinds);
    if (this.ipis && deliverableEvent(this.#machine, cpu) >= 0) kinds |= IPI;
    // One context is left for a fault of the entry itself.
    if (kinds !== 0 && (this.#stacks.depth.values[task] as number) >= MAX_DEPTH - 1) {
      if ((kinds & (this.#affordable(cpu) | IPI)) !== 0) this.truncated = true;
      return this.#powerFailure(cpu);
    }
    return kinds | this.#powerFailure(cpu);
  }

  /** What IF lets in: interrupts, and what their exit leads to. */
  #maskable(cpu: number, task: number): number {
    if ((this.#watched & (PREEMPT | MIGRATE)) === 0) return IRQ;
    return IRQ | this.#switches(cpu, task);
  }

  #leaveOut(matters: boolean, kinds: number): number {
    this.leftOut = matters ? 0 : kinds & HANDLERS;
    return kinds & ~this.leftOut;
  }

  /** The power fails for all CPUs at once, so that of one is enough. */
  #powerFailure(cpu: number): number {
    return cpu === 0 ? this.#watched & POWER_FAIL : 0;
  }

  /** Whether an IPI that another CPU sends could arrive on this one now. */
  othersMayInterrupt(cpu: number): boolean {
    if (this.nmiIpis) return true;
    return this.ipis && this.#machine.registers.interruptFlag.values[cpu] === 1;
  }

  /** Whether a CPU could be preempted now if only a task waited for it, and none does. */
  lacksWaiter(cpu: number): boolean {
    return this.#couldSwitch(cpu, PREEMPT) && !this.#kernel.sched.anyoneWaitsFor(cpu);
  }

  /** Whether the task on a CPU could migrate now if only another CPU took it, and one does not. */
  lacksDestination(cpu: number): boolean {
    if (!this.#couldSwitch(cpu, MIGRATE)) return false;
    return this.#machine.cpus.some(({ index }) => index !== cpu && !this.#canMigrateTo(cpu, index));
  }

  /** Whether the budget and the CPU's own state let an interrupt exit switch tasks. */
  #couldSwitch(cpu: number, kind: number): boolean {
    if (this.#machine.registers.interruptFlag.values[cpu] === 0) return false;
    if (this.#kernel.preempt.count.column.values[cpu] !== 0) return false;
    return (this.#affordable(cpu) & kind) !== 0;
  }

  /** Events whose interrupt exit switches to another task. */
  #switches(cpu: number, task: number): number {
    const { preempt, sched } = this.#kernel;
    if (preempt.count.column.values[cpu] !== 0) return 0;
    const preempted = sched.anyoneWaitsFor(cpu) ? PREEMPT : 0;
    // Idle tasks belong to their CPU.
    const { cpus } = this.#machine;
    const moves = task >= cpus.length && cpus.some(({ index }) => this.#canMigrateTo(cpu, index));
    return preempted | (moves ? MIGRATE : 0);
  }

  #canMigrateTo(cpu: number, to: number): boolean {
    const { sched, cpus } = this.#kernel;
    const task = this.#stacks.stackOf.values[cpu] as number;
    return cpu !== to && cpus.takesTasks(to) && sched.allowedOn(task, to);
  }

  /** A machine check while another is handled (MCG_STATUS.MCIP) is a shutdown, which no kernel survives. */
  #takesMachineChecks(task: number): boolean {
    for (let i = (this.#stacks.depth.values[task] as number) - 1; i >= 0; i--) {
      if (this.#stacks.at(task, i).routine.frame === 'machineCheck') return false;
    }
    return true;
  }

  #nodeOf(cpu: number): Node {
    return this.#stacks.top(this.#stacks.stackOf.values[cpu] as number);
  }
}
