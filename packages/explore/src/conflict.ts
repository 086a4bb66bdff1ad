// SPDX-License-Identifier: MIT
// The reduction `deliver: 'conflict'`: interrupts come only before operations that their handlers may notice.

import { type Column, KIND_MASK, type Machine, Op } from '@pkslab/x86-cpu';
import type { Node } from './node.ts';
import { isThisCpu, onlyReads, reachOf } from './reach.ts';
import type { Tries } from './trie.ts';

/** In place of the index of a cell of the executing CPU. */
const THIS = -1;

/**
 * What the handlers of a scenario touch, as far as their code is known.
 *
 * An interrupt before an operation that touches none of it comes to the same state as one right behind it. So
 * only operations on such cells matter, and all that are not on cells: registers, memory, waiting, switching.
 * Nobody knows in advance what a handler does, so a search is run again until it has learnt nothing new.
 */
export class Conflicts {
  readonly #machine: Machine;
  readonly #tries: Tries;
  readonly #read = new Set<string>();
  readonly #written = new Set<string>();
  #learnt = 0;
  /** For each node: 1 if an interrupt before it matters, 2 if not, 0 while nobody has asked. */
  #answers = new Uint8Array(1 << 10);

  constructor(machine: Machine, tries: Tries) {
    this.#machine = machine;
    this.#tries = tries;
  }

  /** Takes in what was learnt of the handlers since the last time; whether it was anything new. */
  learn(): boolean {
    const before = this.#read.size + this.#written.size;
    for (; this.#learnt < this.#tries.nodes.length; this.#learnt++) {
      const node = this.#tries.nodes[this.#learnt] as Node;
      const op = node.kind & KIND_MASK;
      if (node.kind < 0 || node.routine.frame === 'task' || reachOf(op) !== 'cell') continue;
      (onlyReads(op) ? this.#read : this.#written).add(this.#cellOf(node, op));
    }
    this.#answers.fill(0);
    return this.#read.size + this.#written.size > before;
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
    const cell = this.#cellOf(node, op);
    return this.#written.has(cell) || (!onlyReads(op) && this.#read.has(cell));
  }

  #cellOf({ a, b }: Node, op: number): string {
    const column = this.#machine.columns[a] as Column;
    return `${a} ${isThisCpu(op) || column.field.per === 'cpu' ? THIS : b}`;
  }
}
