// SPDX-License-Identifier: MIT
// Replays the events of a schedule on a system, each where it happened: by routine, site and occurrence.

import type { Action } from './actions.ts';
import { type Budget, totalEvents } from './budget.ts';
import type { System } from './system.ts';

/** Something that a schedule does beside going on: by where it happened, not by step number. */
interface GuidePoint {
  readonly cpu: number;
  readonly site: string;
  readonly occurrence: number;
  /** An event that is delivered there; null for an alternative, or for a change of CPU. */
  readonly event: Action['event'];
  readonly choice: number;
  /** The CPU that steps next. */
  readonly to: number;
}

/** What a schedule does beside going on, in order; `start` is the CPU that steps first. */
export interface Guide {
  readonly start: number;
  readonly points: readonly GuidePoint[];
}

/** Steps after which a guided run counts as lost. */
const MAX_STEPS = 100_000;

/** Sets a system's budget to what a replay needs. */
export function openBudget(system: System, budget: Budget): void {
  system.enabled.setBudget(budget, totalEvents(budget, system.machine.cpus.length));
}

class Occurrences {
  readonly #counts = new Map<string, number>();
  readonly #system: System;

  constructor(system: System) {
    this.#system = system;
  }

  /** The site that a CPU is at, and how often it has stepped from there. */
  at(cpu: number): { site: string; occurrence: number } {
    const node = this.#system.nodeOf(cpu);
    const routine = node.routine.key.split(':', 2).join(':');
    const site = `${routine} ${this.#system.tries.siteName(node)} ${node.kind}`;
    return { site, occurrence: this.#counts.get(`${cpu} ${site}`) ?? 0 };
  }

  perform(action: Action): void {
    if (action.event === null) {
      const { site, occurrence } = this.at(action.cpu);
      this.#counts.set(`${action.cpu} ${site}`, occurrence + 1);
    }
    this.#system.perform(action);
  }
}

/** Performs a schedule and notes where it did something beside going on. */
export function guideOf(system: System, schedule: readonly Action[]): Guide {
  const occurrences = new Occurrences(system);
  const points: GuidePoint[] = [];
  const start = schedule[0]?.cpu ?? 0;
  let running = start;
  for (const action of schedule) {
    if (action.cpu !== running) {
      const at = occurrences.at(running);
      points.push({ cpu: running, ...at, event: null, choice: 0, to: action.cpu });
      running = action.cpu;
    }
    if (action.event !== null || action.choice !== stepsOf(system, action.cpu)[0]?.choice) {
      points.push({ ...action, ...occurrences.at(action.cpu), to: action.cpu });
    }
    occurrences.perform(action);
  }
  return { start, points };
}

/** What a CPU can do without an event: its next operation, in each of its alternatives. */
function stepsOf(system: System, cpu: number): Action[] {
  return system.enabled.actions().filter((action) => action.cpu === cpu && action.event === null);
}

export type GuidedEnd = 'ended' | 'violated' | 'diverged';

/** Runs a system to its end with the events of a guide; `diverged` if one of them never came up. */
export function runGuided(system: System, guide: Guide): GuidedEnd {
  const run = new GuidedRun(system, guide);
  if (system.checker.violation !== null) return 'violated';
  for (let step = 0; step < MAX_STEPS; step++) {
    const action = run.next();
    if (action === null) return endOf(system, run.missed);
    run.perform(action);
    if (system.checker.violation !== null) return 'violated';
  }
  return 'diverged';
}

function endOf(system: System, missed: boolean): GuidedEnd {
  if (!system.ended) return 'violated';
  system.checker.end();
  if (system.checker.violation !== null) return 'violated';
  return missed ? 'diverged' : 'ended';
}

class GuidedRun {
  readonly #system: System;
  readonly #occurrences: Occurrences;
  readonly #left: GuidePoint[];
  #running: number;
  #passed = false;

  constructor(system: System, { start, points }: Guide) {
    this.#system = system;
    this.#occurrences = new Occurrences(system);
    this.#left = [...points];
    this.#running = start;
  }

  /** Whether an event did not find its place. */
  get missed(): boolean {
    return this.#passed || this.#left.some(({ event }) => event !== null);
  }

  perform(action: Action): void {
    this.#running = action.cpu;
    this.#occurrences.perform(action);
  }

  /** What to do next; null at the end. */
  next(): Action | null {
    const possible = this.#system.enabled.actions();
    for (let at = this.#find(possible); at >= 0; at = this.#find(possible)) {
      const [point] = this.#left.splice(at, 1) as [GuidePoint];
      if (!isSwitch(point)) return chosen(possible, point) ?? null;
      // What should have come before the change of CPU did not.
      this.#passed ||= this.#left.splice(0, at).some(({ event }) => event !== null);
      this.#running = point.to;
    }
    const steps = possible.filter(({ event }) => event === null);
    return steps.find(({ cpu }) => cpu === this.#running) ?? steps[0] ?? null;
  }

  /** The point that the running CPU is at: none behind the next change of CPU. */
  #find(possible: readonly Action[]): number {
    const { site, occurrence } = this.#occurrences.at(this.#running);
    for (const [i, point] of this.#left.entries()) {
      const here = point.cpu === this.#running && point.site === site;
      if (here && point.occurrence === occurrence) {
        if (isSwitch(point) || chosen(possible, point) !== undefined) return i;
      }
      if (isSwitch(point)) break;
    }
    return -1;
  }
}

function isSwitch(point: GuidePoint): boolean {
  return point.to !== point.cpu;
}

function chosen(
  possible: readonly Action[],
  { cpu, event, choice }: GuidePoint,
): Action | undefined {
  return possible.find(
    (action) => action.cpu === cpu && action.event === event && action.choice === choice,
  );
}
