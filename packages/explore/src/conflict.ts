// SPDX-License-Identifier: MIT
// The reduction `deliver: 'conflict'`: interrupts come only before operations that their handlers may notice.

import type { Kernel } from '@pkslab/kernel';
import { type Column, KIND_MASK, type Machine, Op } from '@pkslab/x86-cpu';
import type { Invariant } from './invariant.ts';
import type { Node, Routine } from './node.ts';
import { isThisCpu, onlyReads, reachOf, retriedCells } from './reach.ts';
import type { Tries } from './trie.ts';
import { scheduledColumns } from './waiters.ts';

/** In place of the index of a cell of the executing CPU. */
const THIS = -1;

/** In place of the one routine that touches a cell: a handler does, or more than one routine. */
const ANYONE = null;

/**
 * What each routine of a scenario touches, as far as its code is known, and what invariants say that they look at.
 *
 * An interrupt before an operation on a cell that no other routine touches comes to the same state as one right
 * behind it, and nobody can tell the states between from each other: no handler, no other CPU, and no task that
 * the exit of the interrupt switches to. So only operations on other cells matter, and all that are not on cells:
 * registers, memory, waiting, switching. Nobody knows in advance what code does, so a search is run again until it
 * has learnt nothing new.
 */
export class Conflicts {
  readonly #machine: Machine;
  readonly #tries: Tries;
  /** For each cell the routine that reads it. */
  readonly #readers = new Map<string, Routine | typeof ANYONE>();
  readonly #writers = new Map<string, Routine | typeof ANYONE>();
  /** Columns that schedulers and invariants look at, which are no operations. */
  readonly #watched: ReadonlySet<Column>;
  #learnt = 0;
  #changes = 0;
  /** For each node: 1 if an interrupt before it matters, 2 if not, 0 while nobody has asked. */
  #answers = new Uint8Array(1 << 10);

  constructor(kernel: Kernel, tries: Tries, invariants: readonly Invariant[] = []) {
    this.#machine = kernel.machine;
    this.#tries = tries;
    const looks = invariants.flatMap(({ looksAt = [], looksAtAll = [] }) => [
      ...looksAt,
      ...looksAtAll,
    ]);
    this.#watched = new Set([...scheduledColumns(kernel), ...looks]);
  }

  /** Takes in what was learnt of the code since the last time; whether it was anything new. */
  learn(): boolean {
    const before = this.#changes;
    for (; this.#learnt < this.#tries.nodes.length; this.#learnt++) {
      const node = this.#tries.nodes[this.#learnt] as Node;
      const op = node.kind & KIND_MASK;
      if (node.kind < 0) continue;
      const isTask = node.routine.frame === 'task';
      this.#noteRetry(node, isTask ? node.routine : ANYONE);
      if (reachOf(op) !== 'cell') continue;
      const cells = onlyReads(op) ? this.#readers : this.#writers;
      this.#note(cells, this.#cellOf(node, op), isTask ? node.routine : ANYONE);
    }
    this.#answers.fill(0);
    return this.#changes > before;
  }

  /** A retry reads the cells that it waits for. */
  #noteRetry({ kind, a, b, c }: Node, who: Routine | null): void {
    for (const { column, index } of retriedCells(this.#machine, kind, a, b, c)) {
      this.#note(this.#readers, cellKey(column, index), who);
    }
  }

  #note(cells: Map<string, Routine | null>, cell: string, who: Routine | null): void {
    const known = cells.get(cell);
    if (known === ANYONE || known === who) return;
    cells.set(cell, known === undefined ? who : ANYONE);
    this.#changes++;
  }

  /** Whether an interrupt before a node's operation may differ from one behind it. */
  matters(node: Node): boolean {
    if (node.id >= this.#answers.length) {
      const old = this.#answers;
      this.#answers = new Uint8Array(Math.max(old.length * 2, node.id + 1));
      this.#answers.set(old);
    }
    if (this.#answers[node.id] === 0) this.#answers[node.id] = this.#decide(node) ? 1 : 2;
    return this.#answers[node.id] === 1;
  }

  #decide(node: Node): boolean {
    const op = node.kind & KIND_MASK;
    if (op === Op.lock || op === Op.wait || reachOf(op) !== 'cell') return true;
    if (this.#watched.has(this.#machine.columns[node.a] as Column)) return true;
    const cell = this.#cellOf(node, op);
    const isOthers = (who: Routine | null | undefined): boolean =>
      who !== undefined && who !== node.routine;
    if (isOthers(this.#writers.get(cell))) return true;
    return !onlyReads(op) && isOthers(this.#readers.get(cell));
  }

  #cellOf({ a, b }: Node, op: number): string {
    const column = this.#machine.columns[a] as Column;
    return cellKey(column, isThisCpu(op) ? THIS : b);
  }
}

/** A cell of a per-CPU column is that of whatever CPU executes. */
function cellKey(column: Column, index: number): string {
  return `${column.id} ${column.field.per === 'cpu' ? THIS : index}`;
}
