// SPDX-License-Identifier: MIT
// Attribution: the repair, or the design choice, with which the same events break nothing.

import { type Kernel, KernelError, type RevisionRequest } from '@pkslab/kernel';
import type { Budget } from './budget.ts';
import type { Violation } from './checker.ts';
import { type Guide, openBudget, patience, runGuided } from './guide.ts';
import type { Scenario } from './scenario.ts';
import { System } from './system.ts';

/** What has to be changed in a kernel for the same events to do no harm. */
export interface Attribution {
  /** Repairs (`D-01`) and choices as `reference` makes them (`schedHook=switchEnd`), all needed together. */
  readonly changes: readonly string[];
  /** False where something else breaks then: a second defect stands behind the first. */
  readonly complete: boolean;
  /** The first change with which, by itself, they no longer break the same invariant. */
  readonly single: string | null;
}

/** How much attribution has tried. */
export interface Tried {
  /** Changes of the kernel: repairs, and choices unless the caller has named the changes to try. */
  readonly singles: number;
  readonly pairs: number;
  /** All pairs that there are; they are not tried where a single change ends the violation. */
  readonly pairsInAll: number;
  /** Single changes with which a point of the schedule never comes up: whether they end it is not known. */
  readonly diverged: readonly string[];
}

/** What attribution comes to. */
interface Attributed {
  readonly attribution: Attribution | null;
  readonly tried: Tried;
}

/** A violation to be attributed. */
export interface Finding {
  readonly scenario: Scenario;
  readonly request: RevisionRequest;
  readonly budget: Budget;
  readonly guide: Guide;
  /** Of the schedule that the guide is to. */
  readonly steps: number;
  readonly violation: Violation;
}

const REFERENCE: RevisionRequest = { revision: 'reference', repairs: [], sabotages: [], with: {} };

/** Pairs of changes that are tried at most. */
const PAIRS_MAX = 150;

/** A change of the kernel that may end a violation. */
interface Candidate {
  readonly name: string;
  applyTo(request: RevisionRequest): RevisionRequest;
}

type Effect = 'none' | 'partial' | 'complete' | 'diverged';

/**
 * The first single repair under which the schedule's events do no harm; else the first single choice; else the
 * first two changes together; else the single change with which they no longer break the same invariant.
 *
 * @param candidates repairs to try; default those that the kernel's modules know, and every choice that
 * `reference` makes otherwise
 */
export function attribute(
  finding: Finding,
  kernel: Kernel,
  candidates?: readonly string[],
): Attributed {
  const repairs = (candidates ?? kernel.repairs)
    .filter((id) => !finding.request.repairs.includes(id))
    .map(repair);
  const choices = candidates === undefined ? otherChoices(finding.scenario, kernel) : [];
  const trials = new Trials(finding, [...repairs, ...choices]);
  const attribution = attributionBy(trials);
  const { singles, pairs, pairsInAll, diverged } = trials;
  return { attribution, tried: { singles, pairs, pairsInAll, diverged } };
}

function attributionBy(trials: Trials): Attribution | null {
  const partial: Candidate[] = [];
  const others: Candidate[] = [];
  for (const candidate of trials.candidates) {
    const effect = trials.single(candidate);
    const { name } = candidate;
    if (effect === 'complete') return { changes: [name], complete: true, single: name };
    (effect === 'partial' ? partial : others).push(candidate);
  }
  const single = partial[0]?.name ?? null;
  // Those that change something by themselves are tried first.
  const pair = trials.pairAmong([...partial, ...others]);
  if (pair !== null) return { changes: pair.map(({ name }) => name), complete: true, single };
  return single === null ? null : { changes: [single], complete: false, single };
}

/** Runs a finding's events with changes, and counts. */
class Trials {
  singles = 0;
  pairs = 0;
  readonly diverged: string[] = [];
  readonly pairsInAll: number;
  readonly candidates: readonly Candidate[];
  readonly #finding: Finding;

  constructor(finding: Finding, candidates: readonly Candidate[]) {
    this.#finding = finding;
    this.candidates = candidates;
    this.pairsInAll = (candidates.length * (candidates.length - 1)) / 2;
  }

  single(candidate: Candidate): Effect {
    this.singles++;
    const effect = effectOf(this.#finding, [candidate]);
    if (effect === 'diverged') this.diverged.push(candidate.name);
    return effect;
  }

  /** Two changes that end it together, among the first pairs of a list: those of its first changes are tried first. */
  pairAmong(ordered: readonly Candidate[]): readonly Candidate[] | null {
    const pairs = ordered.flatMap((one, i) =>
      ordered.slice(i + 1).map((two, j) => ({ pair: [one, two], place: 2 * i + j })),
    );
    pairs.sort((a, b) => a.place - b.place);
    for (const { pair } of pairs.slice(0, PAIRS_MAX)) {
      this.pairs++;
      if (effectOf(this.#finding, pair) === 'complete') return pair;
    }
    return null;
  }
}

function effectOf(finding: Finding, changes: readonly Candidate[]): Effect {
  const { scenario, request, budget, guide, steps, violation } = finding;
  const changed = changes.reduce((before, change) => change.applyTo(before), request);
  const system = systemFor(scenario, changed);
  if (system === null) return 'none';
  openBudget(system, budget);
  const end = runGuided(system, guide, patience(steps));
  const broken = system.checker.violation?.invariant;
  system.release();
  if (end === 'ended') return 'complete';
  if (end === 'diverged') return 'diverged';
  return end === 'violated' && broken !== violation.invariant ? 'partial' : 'none';
}

/** Null where a scenario cannot be set up so: not every choice goes with every other. */
function systemFor(scenario: Scenario, request: RevisionRequest): System | null {
  try {
    return new System(scenario.setup(request));
  } catch (error) {
    if (error instanceof KernelError) return null;
    throw error;
  }
}

function repair(id: string): Candidate {
  return {
    name: id,
    applyTo: (request) => ({ ...request, repairs: [...request.repairs, id] }),
  };
}

/** Every choice that `reference` makes otherwise, made as there. */
function otherChoices(scenario: Scenario, { choices }: Kernel): Candidate[] {
  const { kernel } = scenario.setup(REFERENCE);
  return Object.entries(kernel.choices)
    .filter(([name, value]) => choices[name] !== value)
    .map(([name, value]) => ({
      name: `${name}=${value}`,
      applyTo: (request) => ({ ...request, with: { ...request.with, [name]: value } }),
    }));
}
