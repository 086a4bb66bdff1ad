// SPDX-License-Identifier: MIT
// A source of events for machines without a scheduler: delivers what is pending at operation boundaries.

import type { MachineCore } from './core.ts';
import { KIND_MASK, Op, type OperationHook } from './operation.ts';

/** What {@link Interrupts} may be told. */
export interface InterruptOptions {
  /** Operations (of any CPU) between sending an IPI and the first boundary at which it may arrive. Default 0. */
  readonly ipiDelay?: number;
}

/**
 * Attach it as `machine.hook`, and pending events are delivered before the next operation of their CPU.
 *
 * @example
 * const machine = new Machine({ cpus: 2 });
 * machine.hook = new Interrupts(machine, { ipiDelay: 10 });
 */
export class Interrupts implements OperationHook {
  readonly #machine: MachineCore;
  readonly #delay: number;
  readonly #sent: { readonly at: number; readonly cpu: number; readonly vector: number }[] = [];
  #now = 0;

  constructor(machine: MachineCore, options: InterruptOptions = {}) {
    this.#machine = machine;
    this.#delay = options.ipiDelay ?? 0;
  }

  operate(kind: number, a: number, b: number, c: number, d: number): number {
    const op = kind & KIND_MASK;
    const machine = this.#machine;
    if (op >= Op.boundary) {
      this.#now++;
      this.#arrive();
      machine.deliverPending();
    }
    if (op === Op.sendIpi) {
      this.#sent.push({ at: this.#now + this.#delay, cpu: a, vector: b });
      return 0;
    }
    if (!machine.canExecute(op, a, b, c)) return machine.waitFor(kind, a, b, c, d);
    return machine.perform(kind, a, b, c, d);
  }

  /** IPIs whose time has come are pending on their CPU. */
  #arrive(): void {
    while (this.#sent.length > 0 && (this.#sent[0]?.at as number) < this.#now) {
      const ipi = this.#sent.shift();
      if (ipi !== undefined) this.#machine.execute(Op.sendIpi, ipi.cpu, ipi.vector, 0, 0);
    }
  }
}
