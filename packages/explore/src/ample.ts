// SPDX-License-Identifier: MIT
// Ample sets: a CPU whose next operation concerns nobody else is expanded alone.

import { type Column, KIND_MASK, type Machine, Op } from '@pkslab/x86-cpu';
import type { Action } from './actions.ts';
import type { Invariant } from './invariant.ts';
import type { Node } from './node.ts';
import { Owners } from './owners.ts';
import { isThisCpu, onlyReads, reachOf, retriedCells } from './reach.ts';
import type { System } from './system.ts';
import { scheduledColumns, Waiters } from './waiters.ts';

/** Both halves of a state's hash. */
interface HashedState {
  readonly low: number;
  readonly high: number;
}

/**
 * Says at each state whether one CPU can be expanded without the others.
 *
 * All that a CPU can do next, its events and its step, is such a set if nothing that the others do meanwhile can
 * depend on it or add to it: the operation touches only what no other CPU and no other task touches, and no
 * event can become possible there through another CPU (a task that begins to wait, an IPI). Delivery of an event
 * and its budget touch nothing of others.
 *
 * What is private is learnt during the search ({@link Owners}): once something turns out to be shared, what was
 * left out because of it may matter, and the search begins again. The search itself sees to it that no step is
 * put off for ever: a step back to a state on its path does not stand alone.
 */
export class AmpleSets {
  readonly owners: Owners;
  readonly #system: System;
  readonly #machine: Machine;
  readonly #waiters: Waiters;
  /** What the invariants and the rules for events look at beside the view. */
  readonly #looks: readonly Column[];
  readonly #path = new Set<number>();
  /** Columns that invariants look at as a whole, and whether any cell of one was written. */
  readonly #wholeColumns = new Set<Column>();
  #wholeWritten = false;
  /** Whether anybody has changed which CPUs take tasks. */
  #cpusComeAndGo = false;
  /** CPUs times tasks: where that was taken in. */
  readonly #looked: Uint8Array;

  /** Only where every invariant says what it looks at: {@link areAllLocal}. */
  constructor(system: System, invariants: readonly Invariant[]) {
    const { machine, kernel } = system;
    this.#system = system;
    this.#machine = machine;
    this.owners = new Owners(machine);
    this.#waiters = new Waiters(kernel);
    const looks = invariants.flatMap(({ looksAt, preserves }) => [
      ...(looksAt ?? []),
      ...(preserves ?? []).map(({ column }) => column),
    ]);
    const isOwn = ({ field }: Column): boolean => field.per === 'cpu' || field.per === 'task';
    this.#looks = [...new Set([...looks.filter(isOwn), kernel.preempt.count.column])];
    const whole = invariants.flatMap(({ looksAtAll }) => looksAtAll ?? []);
    for (const column of [...whole, ...looks]) {
      if (!isOwn(column) || whole.includes(column)) this.#wholeColumns.add(column);
    }
    this.#looked = new Uint8Array(machine.cpus.length * machine.tasks);
    for (const column of scheduledColumns(kernel)) this.owners.share(column);
    for (const id of kernel.tasks.waitColumn.values) this.#shareById(id);
  }

  /** Whether invariants look at nothing but the CPU that stepped and its task; at the end they may look anywhere. */
  static areAllLocal(invariants: readonly Invariant[]): boolean {
    return invariants.every(
      ({ looksAt, boundary, mark, access, fault, operation }) =>
        looksAt !== undefined || (boundary ?? mark ?? access ?? fault ?? operation) === undefined,
    );
  }

  // ---- states on the path that the search is on ----

  /** A search begins. */
  begin(): void {
    this.#path.clear();
  }

  enter(state: HashedState): void {
    this.#path.add(key(state));
  }

  leave(state: HashedState): void {
    this.#path.delete(key(state));
  }

  /** Whether the path leads through a state; by 53 bits of hash, since a false yes does no harm. */
  isOnPath(state: HashedState): boolean {
    return this.#path.has(key(state));
  }

  // ---- what is private ----

  /** Takes in what a step is about to touch. */
  note({ cpu, event }: Action): void {
    const task = this.#system.taskOf(cpu);
    this.#look(cpu, task);
    if (event !== null) return;
    const node = this.#system.nodeOf(cpu);
    const op = node.kind & KIND_MASK;
    const reach = reachOf(op);
    if (reach === 'cell') this.#noteCell(node, op, cpu, task);
    else if (reach === 'memory') this.owners.noteMemory(cpu, task, !onlyReads(op));
    else if (reach === 'machine') this.#noteMachine(op, node, cpu, task);
  }

  #noteCell(node: Node, op: number, cpu: number, task: number): void {
    const column = this.#machine.columns[node.a] as Column;
    this.owners.note(column, isThisCpu(op) ? cpu : node.b, cpu, task, !onlyReads(op));
    if (!this.#wholeWritten && !onlyReads(op) && this.#wholeColumns.has(column)) {
      this.#wholeWritten = true;
      this.owners.broken = true;
    }
    if (!this.#cpusComeAndGo && !onlyReads(op) && column === this.#system.kernel.cpus.active) {
      this.#cpusComeAndGo = true;
      this.owners.broken = true;
    }
    // A task is about to sleep on a cell of this column: schedulers will look at it.
    const { tasks } = this.#system.kernel;
    if (column === tasks.waitColumn) this.#shareById(node.c);
    const makes = column === tasks.state && op === Op.compareExchange;
    if (makes && this.#waiters.noteMade()) this.owners.broken = true;
  }

  #noteMachine(op: number, node: Node, cpu: number, task: number): void {
    // It waits as long as nobody changes what it read: it is never private, and what it read is not either.
    for (const { column, index } of retriedCells(
      this.#machine,
      node.kind,
      node.a,
      node.b,
      node.c,
    )) {
      this.owners.note(column, index, cpu, task, false);
    }
    if (op === Op.sendIpi) {
      const { enabled } = this.#system;
      const { ipis, nmiIpis } = enabled;
      enabled.noteIpi(node.b);
      if (ipis !== enabled.ipis || nmiIpis !== enabled.nmiIpis) this.owners.broken = true;
    }
    const isPaging = op >= Op.readEntry && op <= Op.flushTlb;
    if (isPaging || op === Op.invpcid || node.kind < 0) this.owners.shareMemory();
  }

  #shareById(id: number): void {
    const column = this.#machine.columns[id];
    if (column !== undefined) this.owners.share(column);
  }

  /** What is looked at of a CPU and of a task that runs there. */
  #look(cpu: number, task: number): void {
    const pair = cpu * this.#machine.tasks + task;
    if (this.#looked[pair] === 1) return;
    this.#looked[pair] = 1;
    for (const column of this.#looks) {
      this.owners.note(column, indexIn(column, cpu, task), cpu, task, false);
    }
  }

  /** A CPU that can be expanded alone, or −1. */
  get alone(): number {
    const { cpus } = this.#machine;
    if (this.#waiters.look()) this.owners.broken = true;
    if (this.#wholeWritten) return -1;
    for (let cpu = 0; cpu < cpus.length; cpu++) if (this.#isAlone(cpu)) return cpu;
    return -1;
  }

  #isAlone(cpu: number): boolean {
    const task = this.#system.taskOf(cpu);
    const node = this.#system.nodeOf(cpu);
    if (node.kind < 0 || !this.#isLocal(node, cpu, task)) return false;
    if (!this.#machine.canExecute(node.kind & KIND_MASK, node.a, node.b, node.c)) return false;
    if (this.#othersMayEnable(cpu)) return false;
    this.#look(cpu, task);
    return this.#looks.every((column) =>
      this.owners.isLocal(column, indexIn(column, cpu, task), cpu, task, false),
    );
  }

  /** Whether another CPU's steps may make an event possible here that is not possible now. */
  #othersMayEnable(cpu: number): boolean {
    const { enabled } = this.#system;
    if (enabled.othersMayInterrupt(cpu)) return true;
    if (this.#cpusComeAndGo && (enabled.lacksWaiter(cpu) || enabled.lacksDestination(cpu))) {
      return true;
    }
    return enabled.lacksWaiter(cpu) && this.#waiters.mayCome;
  }

  #isLocal(node: Node, cpu: number, task: number): boolean {
    const op = node.kind & KIND_MASK;
    switch (reachOf(op)) {
      case 'cpu':
        return true;
      case 'memory':
        return this.owners.isMemoryLocal(cpu, task, !onlyReads(op));
      case 'cell': {
        const column = this.#machine.columns[node.a] as Column;
        const index = isThisCpu(op) ? cpu : node.b;
        return this.owners.isLocal(column, index, cpu, task, !onlyReads(op));
      }
      default:
        return false;
    }
  }
}

function key({ low, high }: HashedState): number {
  return (low >>> 0) * 0x20_0000 + (high >>> 11);
}

/** The cell of a column that a check of a CPU and its task looks at. */
function indexIn(column: Column, cpu: number, task: number): number {
  const { per } = column.field;
  if (per === 'cpu') return cpu;
  return per === 'task' ? task : 0;
}
