// SPDX-License-Identifier: MIT
// explore(): a scenario on a revision, searched, and the verdict explained.

import { type RevisionName, type RevisionRequest, revisionNames } from '@pkslab/kernel';
import { type Budget, totalEvents, type WholeBudget, wholeBudget } from './budget.ts';
import { Conflicts } from './conflict.ts';
import { Coverage, type UndeliveredPair } from './coverage.ts';
import type { Engine } from './director.ts';
import {
  type ExplainedViolation,
  type Explanation,
  explain,
  explanationText,
} from './explanation.ts';
import { ExploreError } from './explore-error.ts';
import { runnerOf } from './live.ts';
import type { Recording } from './recording.ts';
import type { SavedTrace } from './saved-trace.ts';
import { type Deliver, onCpus, type Scenario, type Setup } from './scenario.ts';
import type { Limits, Progress, SearchResult } from './search.ts';
import {
  type Draws,
  drawsOf,
  runStrategy,
  type Strategy,
  type StrategyOptions,
  SWITCHES,
} from './strategy.ts';
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
export interface Exploration extends Draws {
  readonly scenario: string;
  readonly revision: RevisionName;
  readonly repairs: readonly string[];
  readonly sabotages: readonly string[];
  readonly with: Readonly<Record<string, string>>;
  readonly verdict: SearchResult['verdict'];
  /** Id of the violated invariant, and what was wrong. */
  readonly invariant: string | null;
  readonly message: string | null;
  /**
   * The one repair or choice with which, by itself, the same events break nothing, or at least not this invariant;
   * what ends it, two together perhaps, is the explanation's `attribution`.
   */
  readonly attributedTo: string | null;
  /** Events in the schedule; for `holds`, the budget that was searched. */
  readonly events: number;
  /** Operations in the schedule. */
  readonly operations: number;
  /** Whether no schedule that violates has fewer events, or as many and fewer operations; null unless violated. */
  readonly minimal: { readonly events: boolean; readonly operations: boolean } | null;
  readonly executions: number;
  readonly states: number;
  readonly seconds: number;
  readonly strategy: Strategy;
  readonly engine: Engine;
  readonly deliver: Deliver;
  /** Of `bounded`: changes of CPU in a schedule, which bound the space as well; null of the others. */
  readonly switches: number | null;
  /** The stated space. */
  readonly bound: WholeBudget & {
    readonly cpus: number;
    readonly maxStates: number;
  };
  /** Whether states were told apart by all that they are, not by 64 bits of hash. */
  readonly exact: boolean;
  /** Of `guided`: steps that the guide made; 0 of the others. */
  readonly guidedSteps: number;
  /** Whether ample sets left out states that differ only in an order which nobody can notice. */
  readonly reduced: boolean;
  /** The odds that two states of the search shared their 64 bits of hash, and one was taken for the other. */
  readonly collisionOdds: number;
  /** Runs of the scenario's recovery: one for each way in which what it reads may have survived a power failure. */
  readonly recoveries: number;
  readonly sitesReached: number;
  readonly undelivered: readonly UndeliveredPair[];
  /** Windows of the kernel's code in which invariants were not checked. */
  readonly suspended: readonly Suspension[];
  /** Why the schedule violates; null unless violated. */
  readonly explanation: Explanation | null;
  /** The schedule in lanes, the backtrace, and the explanation; empty unless violated. */
  readonly trace: string;
  /** The same as data, and to be kept; null unless violated. */
  readonly recording: Recording | null;
  readonly saved: SavedTrace | null;
}

/**
 * Searches every interleaving of a scenario within its budgets.
 *
 * `holds` is said only of a finished space; a violation is minimal in its number of events.
 *
 * @throws {KernelError} EINVAL for an unknown revision, repair or choice.
 * @throws {ExploreError} for a number of CPUs that the scenario does not have, a budget that is no whole number, a power failure without a recovery, a
 * strategy that the live engine cannot do, and where the engines disagree.
 * @throws {EndlessCall} for a call or a handler of more than 5,000 operations: a loop that does not say what it waits for.
 * @throws {Error} `not deterministic` for code that something outside the machine steers, or that keeps something between calls.
 */
export function explore(wanted: Scenario, options: ExploreOptions = {}): Exploration {
  const scenario = onCpus(wanted, options.cpus);
  refuseSearch(options);
  const request = requestOf(options);
  const budget: Budget = { ...scenario.budget, ...options.budget };
  const seconds = stopwatch(options);
  const setup = scenario.setup(request);
  refuseBudget(budget, setup.kernel.machine.cpus.length);
  refuseCrashes(scenario, setup, budget);
  const system = new System(setup);
  const how = howOf(options, scenario);
  if (how.deliver === 'conflict')
    system.enabled.conflicts = new Conflicts(setup.kernel, system.tries, setup.invariants);
  const coverage = new Coverage(system);
  const limits = limitsOf(options, seconds);
  const run = runnerOf(how.engine, scenario, request, system);
  const { invariants } = setup;
  const result = runStrategy({ system, invariants, budget, limits, coverage, run }, options);
  // What the search believes of the code is learnt from few runs of it.
  if (result.verdict === 'holds') system.tries.verify();
  const cpus = system.machine.cpus.length;
  system.release();
  const elapsed = seconds();
  const explained =
    result.violation === null
      ? null
      : explain(scenario, request, budget, result, invariants, options.candidates);
  return {
    scenario: scenario.name,
    ...request,
    verdict: result.verdict,
    events: result.events,
    operations: result.schedule.filter(({ event }) => event === null).length,
    minimal: minimalOf(result, how.strategy),
    executions: result.executions,
    states: result.states,
    seconds: elapsed,
    ...how,
    bound: { ...wholeBudget(budget, cpus), cpus, maxStates: limits.maxStates },
    guidedSteps: result.guidedSteps,
    reduced: result.reduced,
    collisionOdds: result.collisionOdds,
    recoveries: system.recoveries,
    sitesReached: coverage.sitesReached.length,
    undelivered: coverage.undelivered,
    suspended: suspensions(system, invariants, coverage.sites),
    ...(explained === null ? NO_VIOLATION : violationOf(explained)),
  };
}

/** How a scenario is searched. */
function howOf(
  options: ExploreOptions,
  scenario: Scenario,
): Draws & Pick<Exploration, 'strategy' | 'engine' | 'deliver' | 'switches' | 'exact'> {
  const { strategy = 'exhaustive', engine = 'memoised', exact = false } = options;
  const deliver = options.deliver ?? scenario.deliver ?? 'every-op';
  const switches = strategy === 'bounded' ? (options.switches ?? SWITCHES) : null;
  return { strategy, ...drawsOf(options), engine, deliver, switches, exact };
}

function requestOf({
  revision,
  repairs,
  sabotages,
  with: choices,
}: ExploreOptions): RevisionRequest {
  return {
    revision: revision ?? (revisionNames[0] as RevisionName),
    repairs: repairs ?? [],
    sabotages: sabotages ?? [],
    with: choices ?? {},
  };
}

/** Only a search by the number of events, smallest first, finds the fewest. */
function minimalOf(result: SearchResult, strategy: Strategy): Exploration['minimal'] {
  if (result.violation === null) return null;
  const events = strategy === 'exhaustive';
  return { events, operations: events && result.shortest === true };
}

/** What an exploration says of its violation. */
type ViolationPart = Pick<
  Exploration,
  'invariant' | 'message' | 'attributedTo' | 'explanation' | 'trace' | 'recording' | 'saved'
>;

const NO_VIOLATION: ViolationPart = {
  invariant: null,
  message: null,
  attributedTo: null,
  explanation: null,
  trace: '',
  recording: null,
  saved: null,
};

function violationOf({ recording, saved, explanation }: ExplainedViolation): ViolationPart {
  return {
    ...saved.violation,
    attributedTo: explanation.attribution?.single ?? null,
    explanation,
    trace: `${traceText(recording)}${explanationText(saved.violation, explanation)}\n`,
    recording,
    saved,
  };
}

/** The live engine cannot go back to a state that it left. */
function refuseSearch({ engine, strategy = 'exhaustive' }: ExploreOptions): void {
  if (engine !== 'live' || strategy === 'random' || strategy === 'pct') return;
  throw new ExploreError(
    `the live engine runs single schedules, so it cannot do ${strategy}: search by random or pct, or replay a trace`,
  );
}

/** How many events a schedule may have: their number is a byte of the state. */
const EVENTS_MAX = 255;

function refuseBudget(budget: Budget, cpus: number): void {
  const { perCpu = {}, ...counts } = budget;
  for (const [kind, count] of [...Object.entries(counts), ...Object.entries(perCpu)]) {
    if (Number.isInteger(count) && count >= 0 && count <= EVENTS_MAX) continue;
    throw new ExploreError(
      `a budget of ${count} for ${kind}: give a whole number of events from 0 to ${EVENTS_MAX}`,
    );
  }
  const total = totalEvents(budget, cpus);
  if (total <= EVENTS_MAX) return;
  throw new ExploreError(
    `a budget of ${total} events: a schedule has ${EVENTS_MAX} of them at most`,
  );
}

function refuseCrashes({ name }: Scenario, setup: Setup, budget: Budget): void {
  const { powerFail } = wholeBudget(budget, setup.kernel.machine.cpus.length);
  if (powerFail === 0 || setup.recovery !== undefined) return;
  throw new ExploreError(
    `scenario ${name} has no recovery: give its setup one, or leave out power failures`,
  );
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
