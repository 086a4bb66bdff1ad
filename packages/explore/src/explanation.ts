// SPDX-License-Identifier: MIT
// Why a schedule violates: the rule, who changed its cells last, what passes next to it, what to repair.

import type { RevisionRequest } from '@pkslab/kernel';
import { isEnd } from './actions.ts';
import { type Attribution, attribute, type Tried } from './attribute.ts';
import type { Budget } from './budget.ts';
import { type CellHistory, historyOf, historyText } from './cell-history.ts';
import type { Violation } from './checker.ts';
import { guideOf, openBudget } from './guide.ts';
import { type Invariant, memoryOf, remember } from './invariant.ts';
import { type NearestPassing, nearestPassing } from './nearest.ts';
import { cellsOf, Recorder, type Recording } from './recording.ts';
import { type SavedTrace, savedTrace } from './saved-trace.ts';
import type { Scenario } from './scenario.ts';
import { DEADLOCK, NO_PROGRESS, type SearchResult } from './search.ts';
import { System } from './system.ts';
import { type WaitingTask, waitingTasks, waitingText } from './waiting.ts';

/** Why a schedule violates. */
export interface Explanation {
  /** The invariant's rule. */
  readonly rule: string;
  /** The cells that the invariant speaks of. */
  readonly cells: readonly CellHistory[];
  /** Of a deadlock: who waits, and for what. */
  readonly waiting: readonly WaitingTask[];
  /** Null where no place within reach passes. */
  readonly nearestPassing: NearestPassing | null;
  /** Null where no change that was tried helps. */
  readonly attribution: Attribution | null;
  /** What was tried for it; null where the invariant remembers other schedules, which a change would change too. */
  readonly tried: Tried | null;
}

/** Everything about one violation. */
export interface ExplainedViolation {
  readonly recording: Recording;
  readonly saved: SavedTrace;
  readonly explanation: Explanation;
}

/** Rules that the search itself checks. */
const OWN_RULES: Readonly<Record<string, string>> = {
  I15: 'progress: what is declared handled is not met again for ever',
  recovery: 'after a power failure the recovery finds nothing wrong, whatever survived',
  I16: 'no oops, panic, WARN or deadlock in a scenario whose calls are all legal',
};

/**
 * Replays a violating schedule and says why it violates.
 *
 * @param searched invariants of the search, with what they remember of it
 * @throws {Error} `not deterministic` if the schedule does not violate the same again.
 */
export function explain(
  scenario: Scenario,
  request: RevisionRequest,
  budget: Budget,
  result: SearchResult,
  searched: readonly Invariant[],
  candidates?: readonly string[],
): ExplainedViolation {
  const { schedule } = result;
  const violation = result.violation ?? { invariant: '?', message: '' };
  const memory = memoryOf(searched, violation);
  const setup = scenario.setup(request);
  remember(setup.invariants, violation, memory);
  const system = new System(setup);
  openBudget(system, budget);
  const { mark, low, high } = system.undo;
  const recorder = new Recorder(system, setup.invariants);
  const guide = guideOf(system, schedule, recorder);
  const check = setup.invariants.find(({ id }) => id === violation.invariant);
  const cells = check === undefined ? [] : histories(system, recorder, check);
  expectViolation(system, violation);
  const waiting = violation.message === DEADLOCK ? waitingTasks(system, recorder) : [];
  const recording = recorder.finish(violation);
  system.undo.undo(mark, low, high);
  system.checker.violation = null;
  system.onStep = null;
  const passing = nearestPassing(system, schedule, guide);
  system.release();
  const steps = schedule.length;
  const finding = { scenario, request, budget, guide, steps, violation, memory };
  const nothing = { attribution: null, tried: null };
  const explanation = {
    rule: check?.text ?? OWN_RULES[violation.invariant] ?? '',
    cells,
    waiting,
    nearestPassing: passing,
    ...(memory === null ? attribute(finding, setup.kernel, candidates) : nothing),
  };
  return { recording, saved: savedTrace(finding), explanation };
}

/** The schedule has come to its end once more: it must have violated the same. */
function expectViolation(system: System, { invariant, message }: Violation): void {
  // A circle is none of one run, but of what a search has seen.
  if (message === NO_PROGRESS) return;
  // The budget is whole here: events that the search had no more of may still be possible.
  if (system.checker.violation === null && isEnd(system.enabled.actions())) system.finish();
  const again = system.checker.violation?.invariant ?? 'nothing';
  if (again === invariant) return;
  throw new Error(
    `not deterministic: a schedule has violated ${invariant}, and violates ${again} when it is run again`,
  );
}

function histories(system: System, recorder: Recorder, check: Invariant): CellHistory[] {
  const { cpu, task } = system.checker;
  return cellsOf(check).map(({ column, index }) =>
    historyOf(recorder, column, index({ cpu, task })),
  );
}

/** The explanation as a paragraph. */
export function explanationText({ invariant }: { invariant: string }, why: Explanation): string {
  const { rule, cells, waiting, nearestPassing: passing } = why;
  const lines = [`why: ${invariant} says: ${rule}.`];
  const facts = [...cells.map(historyText), ...waitingText(waiting)];
  lines.push(...facts.map((line) => `  ${line}`));
  lines.push(`  ${passingText(passing)}`, `  ${attributionText(why)}`);
  return lines.join('\n');
}

function passingText(passing: NearestPassing | null): string {
  if (passing === null) return 'No schedule with the same events somewhat earlier or later passes.';
  const { event, cpu, operations, direction, before } = passing;
  const what = event === null ? `CPU ${cpu} stops` : `the ${event} comes`;
  const far = `${operations} operation${operations === 1 ? '' : 's'} ${direction}`;
  return `The same events pass if ${what} ${far}: before ${before}.`;
}

function attributionText({ attribution, tried }: Explanation): string {
  if (attribution === null) return unattributedText(tried);
  const { changes, complete, single } = attribution;
  const [first, second] = changes;
  if (!complete) return `With ${first} the same events break another invariant: a second defect.`;
  if (second === undefined) return `With ${first} the same events break nothing.`;
  const alone =
    single === null
      ? 'No single change is known to end it'
      : `With ${single} alone the same events break another invariant`;
  return `${alone}; with ${first} and ${second} the same events break nothing.`;
}

function unattributedText(tried: Tried | null): string {
  if (tried === null)
    return 'No change was tried: it takes more than one schedule to violate this.';
  const { singles, pairs, pairsInAll, diverged } = tried;
  if (singles === 0) return 'No change was tried.';
  const inPairs = pairs === pairsInAll ? `all ${pairs} pairs` : `${pairs} of ${pairsInAll} pairs`;
  const none = `Changes tried: ${singles} alone, ${inPairs}; none is known to end it`;
  return diverged.length === 0
    ? `${none}.`
    : `${none}.\n  With ${diverged.join(', ')} the schedule does not find its places: not known.`;
}
