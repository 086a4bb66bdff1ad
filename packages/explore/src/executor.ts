// SPDX-License-Identifier: MIT
// Executes one operation of a node on the machine.

import { FAULTED, KIND_MASK, type Machine, Op } from '@pkslab/x86-cpu';
import type { Node } from './node.ts';

export class Executor {
  /** What the last operation brought out of memory, if it was a `copyOut`. */
  brought: Uint8Array | null = null;
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Executes a node's operation; `choice` is the alternative that a `choose` takes. */
  execute(node: Node, choice: number): number {
    const machine = this.#machine;
    this.brought = null;
    switch (node.kind & KIND_MASK) {
      case Op.choose:
        machine.choosers[node.a]?.take(choice);
        return choice;
      case Op.copyOut:
        return this.#copyOut(node);
      case Op.copyIn:
        // The host's buffer holds what the code put there last, on whatever path that was.
        machine.buffers[node.b] = node.bytes as Uint8Array;
        return machine.execute(node.kind, node.a, node.b, node.c, 0);
      case Op.writeEntry:
      case Op.fillEntries:
        return this.#changePaging(node);
      default:
        return machine.execute(node.kind, node.a, node.b, node.c, node.d);
    }
  }

  #copyOut(node: Node): number {
    const machine = this.#machine;
    const bytes = new Uint8Array(node.c);
    machine.buffers[node.b] = bytes;
    const result = machine.execute(node.kind, node.a, node.b, node.c, 0);
    if (result !== FAULTED) this.brought = bytes;
    return result;
  }

  /**
   * TLBs are no part of the explored state, so they must hold nothing that the tables do not say: whether a
   * stale entry is there would depend on the order of the search.
   */
  #changePaging(node: Node): number {
    const result = this.#machine.execute(node.kind, node.a, node.b, node.c, node.d);
    this.#machine.flushAllTlbs();
    return result;
  }
}
