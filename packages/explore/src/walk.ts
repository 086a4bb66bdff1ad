// SPDX-License-Identifier: MIT
// Searches by single schedules, one after the other: `random` and `pct`. They find, and never say `holds`.

import { type Action, isEnd } from './actions.ts';
import { type Budget, totalEvents } from './budget.ts';
import type { Coverage } from './coverage.ts';
import { type Director, direct } from './director.ts';
import { Random } from './random.ts';
import { eventsIn, type Limits, type SearchResult } from './search.ts';
import type { System } from './system.ts';

/** Steps after which a schedule is given up: it may have no end. */
const MAX_STEPS = 100_000;

/** Decides one schedule after the other. */
export interface Walker {
  /** A schedule begins; the last one had so many steps. */
  begin(random: Random, lastLength: number): void;
  /** One of what can happen; there is at least one action. */
  choose(actions: readonly Action[], step: number): Action;
}

/** Every CPU is as likely to go on as any other; events are spread over the schedule. */
export class RandomWalker implements Walker {
  readonly #events: number;
  #random: Random = new Random(0);
  #length = 1;

  constructor(events: number) {
    this.#events = events;
  }

  begin(random: Random, lastLength: number): void {
    this.#random = random;
    this.#length = Math.max(1, lastLength);
  }

  choose(actions: readonly Action[]): Action {
    const random = this.#random;
    const events = actions.filter(isBudgeted);
    const steps = actions.filter((action) => !isBudgeted(action));
    const due = random.below(this.#length) < this.#events;
    if (events.length > 0 && (due || steps.length === 0)) return random.pick(events);
    return random.pick(steps);
  }
}

/**
 * Probabilistic concurrency testing: the CPU with the highest priority steps, and at depth − 1 steps, drawn beforehand,
 * the one that steps falls behind all others. A bug that needs d such points among n CPUs and k steps is found by a
 * schedule with odds of at least 1 / (n · kᵈ⁻¹). Events come at steps that are drawn beforehand, or as soon after
 * as they can.
 *
 * Burckhardt and others, A randomized scheduler with probabilistic guarantees of finding bugs, ASPLOS 2010.
 */
export class PctWalker implements Walker {
  readonly #depth: number;
  readonly #events: number;
  readonly #cpus: number;
  #random: Random = new Random(0);
  #priorities: number[] = [];
  #falls: number[] = [];
  #arrivals: number[] = [];

  constructor(cpus: number, depth: number, events: number) {
    this.#cpus = cpus;
    this.#depth = depth;
    this.#events = events;
  }

  begin(random: Random, lastLength: number): void {
    const length = Math.max(1, lastLength);
    const draw = (count: number): number[] =>
      Array.from({ length: count }, () => random.below(length));
    this.#random = random;
    this.#priorities = random.shuffled(this.#cpus).map((priority) => priority + this.#depth);
    this.#falls = draw(this.#depth - 1);
    this.#arrivals = draw(this.#events).sort((a, b) => a - b);
  }

  choose(actions: readonly Action[], step: number): Action {
    const random = this.#random;
    const events = actions.filter(isBudgeted);
    if (events.length > 0 && (this.#arrivals[0] ?? MAX_STEPS) <= step) {
      this.#arrivals.shift();
      return random.pick(events);
    }
    const steps = actions.filter((action) => !isBudgeted(action));
    if (steps.length === 0) return random.pick(events);
    const running = this.#highest(steps);
    const fall = this.#falls.indexOf(step);
    if (fall >= 0) this.#priorities[running] = this.#depth - 1 - fall;
    const now = fall >= 0 ? this.#highest(steps) : running;
    return random.pick(steps.filter(({ cpu }) => cpu === now));
  }

  #highest(steps: readonly Action[]): number {
    const priority = ({ cpu }: Action): number => this.#priorities[cpu] as number;
    return steps.reduce((best, step) => (priority(step) > priority(best) ? step : best)).cpu;
  }
}

/** The arrival of an IPI is as much a part of going on as a step. */
function isBudgeted({ event }: Action): boolean {
  return event !== null && event !== 'ipi';
}

/** Runs schedules that a walker decides, until one violates or a limit is reached. */
export function walk(
  system: System,
  budget: Budget,
  walker: Walker,
  limits: Limits & { readonly schedules: number; readonly seed: number },
  coverage: Coverage,
  run: (director: Director) => void = direct,
): SearchResult {
  const { undo, checker, enabled, machine } = system;
  const { mark, low, high } = undo;
  const total = totalEvents(budget, machine.cpus.length);
  const random = new Random(limits.seed);
  let schedule: Action[] = [];
  let length = 0;
  let states = 0;
  let executions = 0;
  const stops = (): boolean =>
    states >= limits.maxStates ||
    limits.shouldStop({ events: total, states, executions, depth: schedule.length });
  while (checker.violation === null && executions < limits.schedules && !stops()) {
    undo.undo(mark, low, high);
    enabled.setBudget(budget, total);
    walker.begin(random, length);
    schedule = [];
    run(walkOf(system, walker, coverage, schedule));
    states += schedule.length;
    // One that a power failure cut short says only that the next should come later.
    length = enabled.crashed ? Math.max(1, 2 * length) : schedule.length;
    executions++;
  }
  const { violation } = checker;
  checker.violation = null;
  const taken = violation === null ? [] : schedule;
  const verdict = violation === null ? 'incomplete' : 'violated';
  const events = violation === null ? total : eventsIn(taken);
  return { verdict, violation, schedule: taken, events, executions, states };
}

/** One schedule, by the choices of a walker; its steps go to `schedule`. */
function walkOf(system: System, walker: Walker, coverage: Coverage, schedule: Action[]): Director {
  const { checker, enabled, machine } = system;
  return {
    next() {
      if (checker.violation !== null || schedule.length === MAX_STEPS) return null;
      for (const { index } of machine.cpus) {
        const kinds = enabled.allowed(index);
        coverage.reached(system.nodeOf(index), kinds | enabled.leftOut);
      }
      const actions = enabled.actions();
      if (isEnd(actions)) system.finish();
      if (actions.length === 0 || checker.violation !== null) return null;
      return walker.choose(actions, schedule.length);
    },
    perform(action) {
      coverage.took(action, system.nodeOf(action.cpu));
      schedule.push(action);
      system.perform(action);
    },
  };
}
