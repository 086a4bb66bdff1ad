// SPDX-License-Identifier: MIT
// Steps of a schedule. There are few different ones, so each exists once: a search meets millions.

import { EVENT_KINDS, type EventKind } from './budget.ts';

/** A step of a schedule: the next operation of a CPU (with the alternative it takes), or an event on it. */
export interface Action {
  readonly cpu: number;
  readonly event: EventKind | null;
  /** The alternative of a `choose`, the vector of an irq or IPI, the CPU that a task migrates to. */
  readonly choice: number;
}

/** Whether nothing of the first `count` happens by itself: a schedule with no further event of the budget ends here. */
export function isEnd(actions: readonly Action[], count: number = actions.length): boolean {
  for (let i = 0; i < count; i++) {
    const event = actions[i]?.event;
    if (event === null || event === 'ipi') return false;
  }
  return true;
}

/** The steps of one CPU. */
export class CpuActions {
  readonly cpu: number;
  /** The next operation. */
  readonly step: Action;
  /** For each kind of event the actions that deliver it. */
  readonly events: readonly (readonly Action[])[];
  readonly #alternatives = new Map<number, Action>();
  readonly #arrivals = new Map<number, Action>();

  constructor(cpu: number, vectors: readonly number[], cpus: number) {
    this.cpu = cpu;
    this.step = { cpu, event: null, choice: 0 };
    const others = Array.from({ length: cpus }, (_, i) => i).filter((i) => i !== cpu);
    const choices = { irq: vectors, migrate: others, ipi: [] };
    this.events = EVENT_KINDS.map((event) =>
      (choices[event as keyof typeof choices] ?? [0]).map((choice) => ({ cpu, event, choice })),
    );
  }

  /** The arrival of an IPI. */
  arrival(vector: number): Action {
    let action = this.#arrivals.get(vector);
    if (action === undefined) {
      action = { cpu: this.cpu, event: 'ipi', choice: vector };
      this.#arrivals.set(vector, action);
    }
    return action;
  }

  /** The next operation, which takes an alternative. */
  alternative(choice: number): Action {
    let action = this.#alternatives.get(choice);
    if (action === undefined) {
      action = { cpu: this.cpu, event: null, choice };
      this.#alternatives.set(choice, action);
    }
    return action;
  }
}
