// SPDX-License-Identifier: MIT
// Replays a saved trace on the kernel as it is now, or on another one.

import type { Choices, RevisionName, RevisionRequest } from '@pkslab/kernel';
import type { Action } from './actions.ts';
import type { Violation } from './checker.ts';
import type { Engine } from './director.ts';
import { ExploreError } from './explore-error.ts';
import { GuidedRun, type GuidePoint, MAX_STEPS, openBudget } from './guide.ts';
import { remember } from './invariant.ts';
import { runnerOf } from './live.ts';
import { Recorder, type Recording } from './recording.ts';
import type { SavedTrace } from './saved-trace.ts';
import { onCpus, type Scenario } from './scenario.ts';
import { System } from './system.ts';

/** In place of what the trace was found on. */
export interface ReplayOptions {
  readonly revision?: RevisionName;
  readonly repairs?: readonly string[];
  readonly sabotages?: readonly string[];
  readonly with?: Choices;
  /** Default `memoised`. */
  readonly engine?: Engine;
}

/** What became of a saved trace. */
export interface Replay extends RevisionRequest {
  readonly scenario: string;
  readonly engine: Engine;
  /** `ended`: its events came and broke nothing. `diverged`: one of them found no place. */
  readonly outcome: 'violated' | 'ended' | 'diverged';
  readonly violation: Violation | null;
  /** Whether the invariant of the trace was violated. */
  readonly reproduced: boolean;
  /** The first point of the trace that never came up. */
  readonly divergedAt: string | null;
  readonly recording: Recording;
}

/**
 * Runs the events of a saved trace, each where it came: by routine, function, operation and occurrence.
 *
 * Use it after a change of the kernel, or with options, to see whether the same events still do harm; with the engine
 * `live` to follow the kernel's code in a debugger.
 *
 * @throws {KernelError} EINVAL for an unknown repair, sabotage or choice.
 * @throws {ExploreError} for a number of CPUs that the scenario does not have, and where the engines disagree.
 */
export function replay(wanted: Scenario, saved: SavedTrace, options: ReplayOptions = {}): Replay {
  const scenario = onCpus(wanted, saved.cpus ?? undefined);
  const request: RevisionRequest = {
    revision: options.revision ?? saved.revision,
    repairs: options.repairs ?? saved.repairs,
    sabotages: options.sabotages ?? saved.sabotages,
    with: options.with ?? saved.with,
  };
  const setup = scenario.setup(request);
  remember(setup.invariants, saved.violation, saved.memory ?? null);
  const system = new System(setup);
  openBudget(system, saved.budget);
  const recorder = new Recorder(system, setup.invariants);
  const run = new GuidedRun(system, saved, recorder);
  const { engine = 'memoised' } = options;
  const end = run.toEnd(MAX_STEPS, runnerOf(engine, scenario, request, system));
  const { violation } = system.checker;
  // What comes too late to be reached is no divergence: the run ended at the violation.
  const missed = violation === null ? run.missed : null;
  const recording = recorder.finish(violation);
  system.release();
  return {
    scenario: saved.scenario,
    engine,
    ...request,
    outcome: missed === null ? end : 'diverged',
    violation,
    reproduced: violation?.invariant === saved.violation.invariant,
    divergedAt: missed === null ? null : pointText(missed),
    recording,
  };
}

/**
 * For the strategy `guided`: the steps of a saved trace up to its last point, from where the search goes on.
 *
 * @throws {ExploreError} for a trace of another scenario; when the search asks for the steps, for another number of
 * CPUs, and where a point of the trace never comes up: a search from there would be of something else.
 */
export function stepsOf(
  { name }: Scenario,
  saved: SavedTrace,
): (system: System) => readonly Action[] {
  if (saved.scenario !== name) {
    throw new ExploreError(`the trace is one of ${saved.scenario}, not of ${name}`);
  }
  return (system) => {
    const { length: cpus } = system.machine.cpus;
    if (saved.cpus !== null && saved.cpus !== cpus) {
      throw new ExploreError(`the trace was found on ${saved.cpus} CPUs, not on ${cpus}`);
    }
    const steps: Action[] = [];
    const performer = {
      perform(action: Action): void {
        steps.push(action);
        system.perform(action);
      },
    };
    const run = new GuidedRun(system, saved, performer);
    while (run.hasMore && !run.isViolated && steps.length < MAX_STEPS) {
      const action = run.next();
      if (action === null) break;
      run.perform(action);
    }
    // Behind a violation nothing has to come up.
    if (run.missed === null || run.isViolated) return steps;
    throw new ExploreError(`the trace diverged at ${pointText(run.missed)}`);
  };
}

/** A point of a trace in words. */
function pointText({ cpu, event, to, operation, site, routine, occurrence }: GuidePoint): string {
  const other = to === cpu ? 'another alternative' : `the change to CPU ${to}`;
  const time = occurrence === 0 ? '' : `, passed ${occurrence} times before`;
  return `${event ?? other} on CPU ${cpu}: before ${operation} in ${site} (${routine}${time})`;
}
