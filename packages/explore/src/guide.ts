// SPDX-License-Identifier: MIT
// Replays the events of a schedule on a system, each where it happened: by routine, site and occurrence.

import type { Action } from './actions.ts';
import { type Budget, EVENT_KINDS } from './scenario.ts';
import type { System } from './system.ts';

/** An event of a schedule, or the choice of a task: by where it happened, not by step number. */
export interface GuidePoint {
  readonly cpu: number;
  readonly event: Action['event'];
  readonly choice: number;
  readonly site: string;
  readonly occurrence: number;
}

/** Steps after which a guided run counts as lost. */
const MAX_STEPS = 100_000;

/** Sets a system's budget to what a replay needs. */
export function openBudget(system: System, budget: Budget): void {
  const total = EVENT_KINDS.reduce((sum, kind) => sum + budget[kind], 0);
  system.enabled.setBudget(budget, total);
}

class Occurrences {
  readonly #counts = new Map<string, number>();
  readonly #system: System;

  constructor(system: System) {
    this.#system = system;
  }

  /** The site that a CPU is at, and how often it has stepped from there. */
  at(cpu: number): { site: string; occurrence: number } {
    const site = this.#site(cpu);
    return { site, occurrence: this.#counts.get(site) ?? 0 };
  }

  stepped(site: string): void {
    this.#counts.set(site, (this.#counts.get(site) ?? 0) + 1);
  }

  #site(cpu: number): string {
    const node = this.#system.nodeOf(cpu);
    return `${node.routine.key.split(':', 2).join(':')} ${this.#system.tries.sites[node.site] ?? ''} ${node.kind}`;
  }
}

/** The points of a schedule at which something other than the only possible step was taken. */
export function guidePoints(system: System, schedule: readonly Action[]): GuidePoint[] {
  const occurrences = new Occurrences(system);
  const points: GuidePoint[] = [];
  for (const action of schedule) {
    const possible = system.enabled.actions();
    const { site, occurrence } = occurrences.at(action.cpu);
    if (possible.length > 1 && (action.event !== null || action !== possible[0])) {
      if (action.event !== null || steps(possible) > 1)
        points.push({ ...action, site, occurrence });
    }
    if (action.event === null) occurrences.stepped(site);
    system.perform(action);
  }
  return points;
}

function steps(actions: readonly Action[]): number {
  return actions.filter((action) => action.event === null).length;
}

export type GuidedEnd = 'ended' | 'violated' | 'diverged';

/** Runs a system to its end with the events of a guide; `diverged` if one of them never came up. */
export function runGuided(system: System, points: readonly GuidePoint[]): GuidedEnd {
  const occurrences = new Occurrences(system);
  const left = [...points];
  for (let step = 0; step < MAX_STEPS; step++) {
    const action = nextAction(system, occurrences, left);
    if (action === null) return endOf(system, left);
    const { site } = occurrences.at(action.cpu);
    if (action.event === null) occurrences.stepped(site);
    system.perform(action);
    if (system.checker.violation !== null) return 'violated';
  }
  return 'diverged';
}

function endOf(system: System, left: readonly GuidePoint[]): GuidedEnd {
  if (!system.ended) return 'violated';
  system.checker.end();
  if (system.checker.violation !== null) return 'violated';
  return left.some((point) => point.event !== null) ? 'diverged' : 'ended';
}

function nextAction(system: System, occurrences: Occurrences, left: GuidePoint[]): Action | null {
  const possible = system.enabled.actions();
  for (const action of possible) {
    const { site, occurrence } = occurrences.at(action.cpu);
    const at = left.findIndex(
      (point) =>
        point.event === action.event &&
        point.cpu === action.cpu &&
        point.choice === action.choice &&
        point.site === site &&
        point.occurrence === occurrence,
    );
    if (at < 0) continue;
    left.splice(at, 1);
    return action;
  }
  return possible.find((action) => action.event === null) ?? null;
}
