// SPDX-License-Identifier: MIT
// explore(): a scenario on a revision, searched, and the verdict explained.

import { type RevisionName, type RevisionRequest, revisionNames } from '@pkslab/kernel';
import { attribute } from './attribute.ts';
import { type Budget, type WholeBudget, wholeBudget } from './budget.ts';
import { Conflicts } from './conflict.ts';
import { Coverage, type UndeliveredPair } from './coverage.ts';
import { type Deliver, onCpus, type Scenario } from './scenario.ts';
import type { Limits, Progress, SearchResult } from './search.ts';
import { runStrategy, type Strategy, type StrategyOptions } from './strategy.ts';
import { type Suspension, suspensions } from './suspension.ts';
import { System } from './system.ts';
import { traceText } from './trace.ts';

export interface ExploreOptions extends StrategyOptions {
  /** Default `reference`. */
  readonly revision?: RevisionName;
  readonly repairs?: readonly string[];
  readonly sabotages?: readonly string[];
  readonly with?: Readonly<Record<string, string>>;
  /** Another number of CPUs than the scenario's own, where it allows that. */
  readonly cpus?: number;
  /** Events that replace the scenario's own budget. */
  readonly budget?: Budget;
  /** In place of the scenario's own. */
  readonly deliver?: Deliver;
  /** Default 20 million. */
  readonly maxStates?: number;
  /** Host seconds, measured with `clock`; default none. */
  readonly maxSeconds?: number;
  /** Seconds of a monotonic clock; without one the search reports 0 seconds and has no time limit. */
  readonly clock?: () => number;
  /** Repairs to try one by one for attribution; default those that the kernel's modules know. */
  readonly candidates?: readonly string[];
  readonly onProgress?: (progress: Progress & { readonly seconds: number }) => void;
  /** Asked now and then; true ends the search, and what was covered till then is reported. */
  readonly shouldStop?: () => boolean;
}

/** What an exploration found. */
export interface Exploration {
  readonly scenario: string;
  readonly revision: RevisionName;
  readonly repairs: readonly string[];
  readonly sabotages: readonly string[];
  readonly with: Readonly<Record<string, string>>;
  readonly verdict: SearchResult['verdict'];
  /** Id of the violated invariant, and what was wrong. */
  readonly invariant: string | null;
  readonly message: string | null;
  /** The repair with which the same events break nothing. */
  readonly attributedTo: string | null;
  /** Events in the schedule; for `holds`, the budget that was searched. */
  readonly events: number;
  /** Operations in the schedule. */
  readonly operations: number;
  readonly executions: number;
  readonly states: number;
  readonly seconds: number;
  readonly strategy: Strategy;
  readonly deliver: Deliver;
  /** The stated space. */
  readonly bound: WholeBudget & {
    readonly cpus: number;
    readonly maxStates: number;
  };
  /** Whether ample sets left out states that differ only in an order which nobody can notice. */
  readonly reduced: boolean;
  /** The odds that two states of the search shared their 64 bits of hash, and one was taken for the other. */
  readonly collisionOdds: number;
  readonly sitesReached: number;
  readonly undelivered: readonly UndeliveredPair[];
  /** Windows of the kernel's code in which invariants were not checked. */
  readonly suspended: readonly Suspension[];
  /** The schedule in lanes, and the backtrace; empty unless violated. */
  readonly trace: string;
}

/**
 * Searches every interleaving of a scenario within its budgets.
 *
 * `holds` is said only of a finished space; a violation is minimal in its number of events.
 *
 * @throws {KernelError} EINVAL for an unknown revision, repair or choice.
 * @throws {ExploreError} for a number of CPUs that the scenario does not have.
 */
export function explore(wanted: Scenario, options: ExploreOptions = {}): Exploration {
  const scenario = onCpus(wanted, options.cpus);
  const request: RevisionRequest = {
    revision: options.revision ?? (revisionNames[0] as RevisionName),
    repairs: options.repairs ?? [],
    sabotages: options.sabotages ?? [],
    with: options.with ?? {},
  };
  const budget: Budget = { ...scenario.budget, ...options.budget };
  const seconds = stopwatch(options);
  const setup = scenario.setup(request);
  const system = new System(setup);
  const deliver = options.deliver ?? scenario.deliver ?? 'every-op';
  const { machine, tries } = system;
  if (deliver === 'conflict') system.enabled.conflicts = new Conflicts(machine, tries);
  const coverage = new Coverage(system);
  const limits = limitsOf(options, seconds);
  const result = runStrategy(system, setup.invariants, budget, limits, coverage, options);
  // What the search believes of the code is learnt from few runs of it.
  if (result.verdict === 'holds') system.tries.verify();
  const cpus = machine.cpus.length;
  const { strategy = 'exhaustive' } = options;
  const { maxStates } = limits;
  system.release();
  const elapsed = seconds();
  const violated = result.violation !== null;
  return {
    scenario: scenario.name,
    revision: request.revision,
    repairs: request.repairs,
    sabotages: request.sabotages,
    with: request.with,
    verdict: result.verdict,
    invariant: result.violation?.invariant ?? null,
    message: result.violation?.message ?? null,
    attributedTo: violated
      ? attribute(scenario, request, budget, result, options.candidates)
      : null,
    events: result.events,
    operations: result.schedule.length - (violated ? result.events : 0),
    executions: result.executions,
    states: result.states,
    seconds: elapsed,
    strategy,
    deliver,
    bound: { ...wholeBudget(budget, cpus), cpus, maxStates },
    reduced: result.reduced,
    collisionOdds: result.collisionOdds,
    sitesReached: coverage.sitesReached.length,
    undelivered: coverage.undelivered,
    suspended: suspensions(system, setup.invariants, coverage.sites),
    trace: violated ? traceText(scenario, request, budget, result) : '',
  };
}

/** Host seconds since now. */
function stopwatch({ clock = (): number => 0 }: ExploreOptions): () => number {
  const start = clock();
  return () => clock() - start;
}

function limitsOf(options: ExploreOptions, elapsed: () => number): Limits {
  const { maxStates = 20_000_000, maxSeconds = Number.POSITIVE_INFINITY } = options;
  const shouldStop = (progress: Progress): boolean => {
    const seconds = elapsed();
    options.onProgress?.({ ...progress, seconds });
    return options.shouldStop?.() === true || seconds > maxSeconds;
  };
  return { maxStates, shouldStop };
}
