// SPDX-License-Identifier: MIT
// Replays the events of a schedule on a system, each where it happened: by routine, site and occurrence.

import type { Action } from './actions.ts';
import { type Budget, totalEvents } from './budget.ts';
import { type Director, direct } from './director.ts';
import { operationName } from './operation-text.ts';
import type { System } from './system.ts';

/** A place in the kernel's code, and which time a CPU comes there. */
interface Place {
  /** The kind of routine: a task's call, an entry by its vector. */
  readonly routine: string;
  /** The kernel's function, by its C name. */
  readonly site: string;
  /** The operation that is next there. */
  readonly operation: string;
  /** How often the CPU has done it before. */
  readonly occurrence: number;
}

/** Something that a schedule does beside going on: by where it happened, not by step number. */
export interface GuidePoint extends Place {
  readonly cpu: number;
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
export const MAX_STEPS = 100_000;

/** Steps that a schedule like one of so many may take: a run that goes round for ever is soon given up. */
export function patience(steps: number): number {
  return 2 * steps + 1000;
}

/** Sets a system's budget to what a replay needs. */
export function openBudget(system: System, budget: Budget): void {
  system.enabled.setBudget(budget, totalEvents(budget, system.machine.cpus.length));
}

/** Whoever makes the steps: the system itself, or something that notes them. */
interface Performer {
  perform(action: Action): void;
}

class Occurrences {
  readonly #counts = new Map<string, number>();
  readonly #system: System;

  constructor(system: System) {
    this.#system = system;
  }

  /** The place that a CPU is at. */
  at(cpu: number): Place {
    const node = this.#system.nodeOf(cpu);
    const routine = node.routine.key.split(':', 2).join(':');
    const { tries } = this.#system;
    // Without the line: a trace still fits where the code around it has changed.
    const site = tries.sites.functionAt(tries.siteOf(node));
    const operation = operationName(this.#system.machine, node);
    const occurrence = this.#counts.get(`${cpu} ${routine} ${site} ${operation}`) ?? 0;
    return { routine, site, operation, occurrence };
  }

  /** A CPU is about to go on from where it is. */
  note({ cpu, event }: Action): void {
    if (event !== null) return;
    const { routine, site, operation, occurrence } = this.at(cpu);
    this.#counts.set(`${cpu} ${routine} ${site} ${operation}`, occurrence + 1);
  }
}

/** A guide to one schedule: `indices` says at which of its steps each point stands. */
export interface ScheduleGuide extends Guide {
  readonly indices: readonly number[];
}

/** Performs a schedule and notes where it did something beside going on. */
export function guideOf(
  system: System,
  schedule: readonly Action[],
  performer: Performer = system,
): ScheduleGuide {
  const occurrences = new Occurrences(system);
  const points: GuidePoint[] = [];
  const indices: number[] = [];
  const start = schedule[0]?.cpu ?? 0;
  let running = start;
  for (const [i, action] of schedule.entries()) {
    if (action.cpu !== running) {
      const at = occurrences.at(running);
      points.push({ cpu: running, ...at, event: null, choice: 0, to: action.cpu });
      indices.push(i);
      running = action.cpu;
    }
    if (action.event !== null || action.choice !== stepsOf(system, action.cpu)[0]?.choice) {
      points.push({ ...action, ...occurrences.at(action.cpu), to: action.cpu });
      indices.push(i);
    }
    occurrences.note(action);
    performer.perform(action);
  }
  return { start, points, indices };
}

/** What a CPU can do without an event: its next operation, in each of its alternatives. */
function stepsOf(system: System, cpu: number): Action[] {
  return system.enabled.actions().filter((action) => action.cpu === cpu && action.event === null);
}

export type GuidedEnd = 'ended' | 'violated' | 'diverged';

/** Runs a system to its end by a guide; `diverged` if a point of it, an event or not, never came up. */
export function runGuided(system: System, guide: Guide, most: number = MAX_STEPS): GuidedEnd {
  return new GuidedRun(system, guide).toEnd(most);
}

/** A guided run, step by step. */
export class GuidedRun {
  readonly #system: System;
  readonly #performer: Performer;
  readonly #occurrences: Occurrences;
  readonly #left: GuidePoint[];
  #running: number;
  /** A point that did not find its place before the change of CPU behind it. */
  #passed: GuidePoint | null = null;

  constructor(system: System, { start, points }: Guide, performer: Performer = system) {
    this.#system = system;
    this.#performer = performer;
    this.#occurrences = new Occurrences(system);
    this.#left = [...points];
    this.#running = start;
  }

  /** The first point that did not find its place, at the end: a run that has one has diverged. */
  get missed(): GuidePoint | null {
    return this.#passed ?? this.#left[0] ?? null;
  }

  get isViolated(): boolean {
    return this.#system.checker.violation !== null;
  }

  /** Whether points are left that may still come up. */
  get hasMore(): boolean {
    return this.#left.length > 0;
  }

  /** Makes every step that is left, `most` of them. */
  toEnd(most: number = MAX_STEPS, run: (director: Director) => void = direct): GuidedEnd {
    let steps = 0;
    run({
      next: () => (this.isViolated || steps === most ? null : this.next()),
      perform: (action) => {
        steps++;
        this.perform(action);
      },
    });
    if (this.isViolated) return 'violated';
    return steps === most ? 'diverged' : this.end();
  }

  /** What the end of a run comes to, once there is no next step. */
  end(): GuidedEnd {
    this.#system.finish();
    if (this.#system.checker.violation !== null) return 'violated';
    return this.missed === null ? 'ended' : 'diverged';
  }

  perform(action: Action): void {
    this.#running = action.cpu;
    this.#occurrences.note(action);
    this.#performer.perform(action);
  }

  /** Lets another CPU go on. */
  switchTo(cpu: number): void {
    this.#running = cpu;
  }

  /** What to do next; null at the end. */
  next(): Action | null {
    const possible = this.#system.enabled.actions();
    for (let at = this.#find(possible); at >= 0; at = this.#find(possible)) {
      const [point] = this.#left.splice(at, 1) as [GuidePoint];
      if (!isSwitch(point)) return chosen(possible, point) ?? null;
      // What should have come before the change of CPU did not.
      const [skipped = null] = this.#left.splice(0, at);
      this.#passed ??= skipped;
      this.#running = point.to;
    }
    const steps = possible.filter(({ event }) => event === null);
    return steps.find(({ cpu }) => cpu === this.#running) ?? steps[0] ?? null;
  }

  /** The point that the running CPU is at: none behind the next change of CPU. */
  #find(possible: readonly Action[]): number {
    const here = this.#occurrences.at(this.#running);
    for (const [i, point] of this.#left.entries()) {
      if (point.cpu === this.#running && isPlace(point, here)) {
        if (isSwitch(point) || chosen(possible, point) !== undefined) return i;
      }
      if (isSwitch(point)) break;
    }
    return -1;
  }
}

function isPlace(point: GuidePoint, { routine, site, operation, occurrence }: Place): boolean {
  if (point.routine !== routine || point.site !== site) return false;
  return point.operation === operation && point.occurrence === occurrence;
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
