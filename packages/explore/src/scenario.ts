// SPDX-License-Identifier: MIT
// What is explored: a booted kernel with its tasks, the events that may happen, and what must hold.

import type { Kernel, RevisionRequest } from '@pkslab/kernel';
import type { Budget } from './budget.ts';
import { ExploreError } from './explore-error.ts';
import type { Invariant } from './invariant.ts';
import type { Recovery } from './recovery.ts';

/**
 * Before which operations interrupts, NMIs and machine checks come.
 *
 * `every-op`: before each. `conflict`: before those that touch a cell which a handler touches as well, or, on
 * several CPUs, any other code, and before all that are not on cells. That is a reduction: a check that compares
 * what handlers touch with cells that nobody else touches may see less.
 */
export type Deliver = 'every-op' | 'conflict';

/** A kernel ready to be explored. */
export interface Setup {
  readonly kernel: Kernel;
  /** Tasks whose end is the scenario's end. Task n starts on CPU n, as far as there are CPUs. */
  readonly tasks: readonly number[];
  readonly invariants: readonly Invariant[];
  /** Vectors of `irq` events; default one, 0x20. */
  readonly vectors?: readonly number[];
  /** What runs after a `powerFail` event; without it there can be none. */
  readonly recovery?: Recovery;
}

/** What a caller asks of a scenario's machine. */
export interface Wish {
  /** One of the scenario's `cpus`. */
  readonly cpus?: number;
}

/**
 * A scenario: code of tasks and handlers on a kernel of any revision, and the events around it.
 *
 * Its `setup` is called once for each exploration; the code that its tasks and handlers run must touch
 * nothing but the machine.
 */
export interface Scenario {
  readonly name: string;
  /** One sentence: what happens in it. */
  readonly title: string;
  readonly budget: Budget;
  /** Default `every-op`; see {@link Deliver}. */
  readonly deliver?: Deliver;
  /** Numbers of CPUs that `setup` can be asked for, the default first; without it there is one way only. */
  readonly cpus?: readonly number[];
  setup(request: RevisionRequest, wish?: Wish): Setup;
}

/** Declares a scenario; returns it unchanged. */
export function scenario(definition: Scenario): Scenario {
  return definition;
}

/**
 * The same scenario on another number of CPUs.
 *
 * @throws {ExploreError} where it cannot be set up so.
 */
export function onCpus(scenario: Scenario, cpus: number | undefined): Scenario {
  if (cpus === undefined) return scenario;
  const possible = scenario.cpus ?? [];
  if (!possible.includes(cpus)) {
    const hint =
      possible.length === 0 ? 'has one number of CPUs only' : `runs on ${possible.join(' or ')}`;
    throw new ExploreError(`scenario ${scenario.name} cannot run on ${cpus} CPUs: it ${hint}`);
  }
  return { ...scenario, cpus: [cpus], setup: (request) => scenario.setup(request, { cpus }) };
}
