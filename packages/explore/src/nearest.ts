// SPDX-License-Identifier: MIT
// The nearest schedule that breaks nothing: the same events, one of them some operations earlier or later.

import type { Action } from './actions.ts';
import type { EventKind } from './budget.ts';
import { GuidedRun, type GuidePoint, patience, type ScheduleGuide } from './guide.ts';
import { operationName } from './operation-text.ts';
import type { System } from './system.ts';

/** How a schedule that violates has to be changed for it to pass. */
export interface NearestPassing {
  /** The event that comes elsewhere; null for a change of CPU. */
  readonly event: EventKind | null;
  readonly cpu: number;
  /** By how many operations of that CPU. */
  readonly operations: number;
  readonly direction: 'earlier' | 'later';
  /** The operation that it then comes before. */
  readonly before: string;
}

/** Operations by which an event is moved at most. */
const DISTANCE_MAX = 64;

/** Tries the events of a schedule at other places, nearest first; null where none of those passes. */
export function nearestPassing(
  system: System,
  schedule: readonly Action[],
  guide: ScheduleGuide,
): NearestPassing | null {
  const { mark, low, high } = system.undo;
  const movable = guide.points
    .map((point, at) => ({ point, at }))
    .filter(({ point }) => point.event !== null || point.to !== point.cpu)
    // The last event is the one next to the harm.
    .reverse();
  for (let distance = 1; distance <= DISTANCE_MAX; distance++) {
    for (const { point, at } of movable) {
      for (const by of [-distance, distance]) {
        const before = runShifted(system, schedule, guide, at, by);
        system.undo.undo(mark, low, high);
        system.checker.violation = null;
        if (before === null) continue;
        const direction = by < 0 ? 'earlier' : 'later';
        return { event: point.event, cpu: point.cpu, operations: distance, direction, before };
      }
    }
  }
  return null;
}

/** Runs a schedule with one point moved; the operation that it then comes before, if nothing breaks. */
function runShifted(
  system: System,
  schedule: readonly Action[],
  guide: ScheduleGuide,
  at: number,
  by: number,
): string | null {
  const point = guide.points[at] as GuidePoint;
  const index = guide.indices[at] as number;
  const from = by < 0 ? stepsBefore(schedule, index, point.cpu, -by) : index;
  if (from === null) return null;
  const points = guide.points.filter((_, i) => i !== at && (guide.indices[i] as number) >= from);
  const run = new GuidedRun(system, { start: guide.start, points });
  for (const action of schedule.slice(0, from)) run.perform(action);
  run.switchTo(point.cpu);
  if (by > 0 && !goOn(run, point.cpu, by)) return null;
  const before = operationName(system.machine, system.nodeOf(point.cpu));
  if (!take(system, run, point)) return null;
  return run.toEnd(patience(schedule.length)) === 'ended' ? before : null;
}

/** The place in a schedule that many operations of a CPU before another. */
function stepsBefore(
  schedule: readonly Action[],
  index: number,
  cpu: number,
  count: number,
): number | null {
  let left = count;
  for (let i = index - 1; i >= 0; i--) {
    const action = schedule[i] as Action;
    if (action.cpu === cpu && action.event === null && --left === 0) return i;
  }
  return null;
}

/** Makes so many operations of a CPU; false if they break something or it cannot. */
function goOn(run: GuidedRun, cpu: number, count: number): boolean {
  for (let done = 0; done < count; ) {
    const action = run.next();
    if (action === null || action.cpu !== cpu) return false;
    run.perform(action);
    if (run.isViolated) return false;
    if (action.event === null) done++;
  }
  return true;
}

/** Delivers the event, or changes the CPU; false where that is not possible. */
function take(system: System, run: GuidedRun, point: GuidePoint): boolean {
  if (point.event === null) {
    run.switchTo(point.to);
    return true;
  }
  const action = system.enabled
    .actions()
    .find(
      ({ cpu, event, choice }) =>
        cpu === point.cpu && event === point.event && choice === point.choice,
    );
  if (action !== undefined) run.perform(action);
  return action !== undefined;
}
