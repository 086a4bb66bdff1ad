// SPDX-License-Identifier: MIT
// Whether a task may come to wait for a CPU: where one does, a preemption becomes possible.

import { type Kernel, TaskState } from '@pkslab/kernel';
import type { Column } from '@pkslab/x86-cpu';

/** Columns that every CPU's scheduler looks at for every task and CPU; it looks at what tasks sleep on as well. */
export function scheduledColumns({ tasks, cpus }: Kernel): readonly Column[] {
  const { state, onCpu, boundTo, movesTo, waitColumn, waitIndex, waitValue } = tasks;
  const own = [state, onCpu, boundTo, movesTo, waitColumn, waitIndex, waitValue];
  return [...own, cpus.active, cpus.state];
}

/**
 * What a search has seen of waiting tasks.
 *
 * Tasks wait because there are more of them than CPUs, or because they slept and are woken. So it is noted among how
 * many that are alive one has waited; unless tasks are made on the way, there are never more of them than now.
 */
export class Waiters {
  readonly #kernel: Kernel;
  #fewest = Number.POSITIVE_INFINITY;
  #made = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Takes in the state that a search is in; true where what was relied on turns out not to be so. */
  look(): boolean {
    const alive = this.#alive;
    if (alive >= this.#fewest || !this.#anyoneWaits) return false;
    this.#fewest = alive;
    return true;
  }

  /** A task is made; true for the first one. */
  noteMade(): boolean {
    const first = !this.#made;
    this.#made = true;
    return first;
  }

  /** Whether, from this state on, a task may wait that does not wait now. */
  get mayCome(): boolean {
    return this.#made || this.#fewest <= this.#alive;
  }

  get #anyoneWaits(): boolean {
    const { machine, sched } = this.#kernel;
    return machine.cpus.some(({ index }) => sched.anyoneWaitsFor(index));
  }

  /** Tasks that have not ended, idle tasks aside. */
  get #alive(): number {
    const { machine, tasks } = this.#kernel;
    const { values } = tasks.state;
    let count = 0;
    for (let task = machine.cpus.length; task < values.length; task++) {
      const state = values[task];
      if (state !== TaskState.unused && state !== TaskState.dead) count++;
    }
    return count;
  }
}
