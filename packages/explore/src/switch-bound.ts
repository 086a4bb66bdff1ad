// SPDX-License-Identifier: MIT
// The strategy `bounded`: so many times may another CPU step although the one that stepped last could go on.

import type { Column, Machine } from '@pkslab/x86-cpu';
import type { Action } from './actions.ts';

/**
 * Bounds the context switches between CPUs: most bugs need few of them, and the space grows with each.
 *
 * Where the CPU cannot go on, going on elsewhere is free. Its state is in cells, so that it is part of what tells
 * states apart.
 */
export class SwitchBound {
  readonly #left: Column;
  /** The CPU that stepped last, plus 1; 0 before the first step. */
  readonly #last: Column;

  constructor(machine: Machine, switches: number) {
    const cell = (name: string): Column =>
      machine.column({ name: `explore.${name}`, type: 'u8', initial: 0, per: 'global' });
    this.#left = cell('switches');
    this.#last = cell('last_cpu');
    this.#left.poke(0, switches);
  }

  /** Leaves out of the first `count` actions those that would be a switch too many; how many stay. */
  filter(actions: Action[], count: number): number {
    if (this.#left.values[0] !== 0 || !this.#goesOn(actions, count)) return count;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const action = actions[i] as Action;
      if (action.cpu === this.#running || action.event === 'powerFail') actions[kept++] = action;
    }
    return kept;
  }

  /** An action is about to be taken, one of the first `count`. */
  take(action: Action, actions: readonly Action[], count: number): void {
    if (action.cpu === this.#running || action.event === 'powerFail') return;
    if (this.#goesOn(actions, count)) this.#left.poke(0, (this.#left.values[0] as number) - 1);
    this.#last.poke(0, action.cpu + 1);
  }

  get #running(): number {
    return (this.#last.values[0] as number) - 1;
  }

  #goesOn(actions: readonly Action[], count: number): boolean {
    const running = this.#running;
    for (let i = 0; i < count; i++) {
      const { cpu, event } = actions[i] as Action;
      if (cpu === running && event === null) return true;
    }
    return false;
  }
}
