// SPDX-License-Identifier: MIT
// The strategies by name, and their options.

import type { Action } from './actions.ts';
import { AmpleSets } from './ample.ts';
import { type Budget, totalEvents, wholeBudget } from './budget.ts';
import type { Coverage } from './coverage.ts';
import type { Director, Engine } from './director.ts';
import { ExhaustiveSearch } from './exhaustive.ts';
import type { Invariant } from './invariant.ts';
import type { Limits, SearchResult } from './search.ts';
import { SwitchBound } from './switch-bound.ts';
import type { System } from './system.ts';
import { PctWalker, RandomWalker, walk } from './walk.ts';

/**
 * How a space is searched.
 *
 * - `exhaustive`: for each number of events, smallest first, every state; a violation has as few events as can be.
 * - `stateful`: the whole budget at once, with ample sets where every invariant says what it looks at.
 * - `bounded`: as `exhaustive`, with at most `switches` changes of CPU where the last one could have gone on.
 * - `random` and `pct`: single schedules from a seed. They never say `holds`.
 * - `guided`: first the steps that `guide` makes, from there every state with what is left of the budget.
 */
export type Strategy = 'exhaustive' | 'stateful' | 'bounded' | 'random' | 'pct' | 'guided';

export const STRATEGIES: readonly Strategy[] = [
  'exhaustive',
  'stateful',
  'bounded',
  'random',
  'pct',
  'guided',
];

export interface StrategyOptions {
  /** Default `exhaustive`. */
  readonly strategy?: Strategy;
  /** Of `random` and `pct`: `live` runs each schedule on both engines. Default `memoised`. */
  readonly engine?: Engine;
  /** Of `random` and `pct`: the same seed gives the same schedules. Default 1. */
  readonly seed?: number;
  /** Of `pct`: how many points of a schedule a bug may need. Default 3. */
  readonly depth?: number;
  /** Of `random` and `pct`: how many schedules. Default 10,000. */
  readonly schedules?: number;
  /** Of `bounded`. Default 2. */
  readonly switches?: number;
  /** Keeps whole states in place of 64 bits of hash: slower, and no two states are ever taken for one. */
  readonly exact?: boolean;
  /** Of `guided`: the steps of a saved trace, on a system at its start. It leaves the system as it likes. */
  readonly guide?: (system: System) => readonly Action[];
}

/** Changes of CPU that `bounded` allows where nobody says how many. */
export const SWITCHES = 2;

/** What single schedules are drawn from; the same again gives the same schedules. */
export interface Draws {
  /** Of `random` and `pct`; null of the others. */
  readonly seed: number | null;
  readonly schedules: number | null;
  /** Of `pct`. */
  readonly depth: number | null;
}

/** What the options of a strategy say of its draws, defaults filled in. */
export function drawsOf({
  strategy,
  seed = 1,
  schedules = 10_000,
  depth = 3,
}: StrategyOptions): Draws {
  if (strategy !== 'random' && strategy !== 'pct') {
    return { seed: null, schedules: null, depth: null };
  }
  return { seed, schedules, depth: strategy === 'pct' ? depth : null };
}

/** What a strategy found, and how sure that is. */
export interface StrategyResult extends SearchResult {
  /** Whether ample sets were used. */
  readonly reduced: boolean;
  /** Steps that a guide made. */
  readonly guidedSteps: number;
  /** The odds that two states of the search shared a hash; 0 where states are whole. */
  readonly collisionOdds: number;
}

/** What is searched. */
export interface Searched {
  readonly system: System;
  readonly invariants: readonly Invariant[];
  readonly budget: Budget;
  readonly limits: Limits;
  readonly coverage: Coverage;
  /** Runs a schedule on the engine of the options. */
  readonly run: (director: Director) => void;
}

/** Searches a system by the strategy of the options. */
export function runStrategy(searched: Searched, options: StrategyOptions): StrategyResult {
  const { system, invariants, budget, limits, coverage, run } = searched;
  const { strategy = 'exhaustive' } = options;
  const { seed, schedules, depth } = drawsOf(options);
  const { machine } = system;
  const total = totalEvents(budget, machine.cpus.length);
  const unsure = { reduced: false, guidedSteps: 0, collisionOdds: 0 };
  if (seed !== null && schedules !== null) {
    const walker =
      depth === null ? new RandomWalker(total) : new PctWalker(machine.cpus.length, depth, total);
    const bounds = { ...limits, schedules, seed };
    return { ...unsure, ...walk(system, budget, walker, bounds, coverage, run) };
  }
  // A power failure depends on every step that touches persistent memory.
  const crashes = wholeBudget(budget, machine.cpus.length).powerFail > 0;
  const reduced = strategy === 'stateful' && !crashes && AmpleSets.areAllLocal(invariants);
  const prefix = strategy === 'guided' ? guidedSteps(system, budget, total, options) : [];
  const search = new ExhaustiveSearch(system, limits, coverage, {
    ample: reduced ? new AmpleSets(system, invariants) : null,
    switches:
      strategy === 'bounded' ? new SwitchBound(machine, options.switches ?? SWITCHES) : null,
    exact: options.exact === true,
    prefix,
  });
  const atOnce = strategy === 'stateful' || strategy === 'guided';
  const result = search.run(budget, atOnce ? total : 0);
  const { collisionOdds } = search;
  return { ...result, reduced, guidedSteps: prefix.length, collisionOdds };
}

/** Asks the guide on the system itself, and puts it back to its start. */
function guidedSteps(
  system: System,
  budget: Budget,
  total: number,
  { guide }: StrategyOptions,
): readonly Action[] {
  if (guide === undefined) return [];
  const { mark, low, high } = system.undo;
  system.enabled.setBudget(budget, total);
  const steps = guide(system);
  system.undo.undo(mark, low, high);
  system.checker.violation = null;
  return steps;
}
