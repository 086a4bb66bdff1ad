// SPDX-License-Identifier: MIT
// The exhaustive strategy: for each number of events, smallest first, a depth-first search over states.

import type { Action } from './actions.ts';
import type { Violation } from './checker.ts';
import type { Coverage } from './coverage.ts';
import { HashSet, mix } from './hash.ts';
import { type Budget, EVENT_KINDS } from './scenario.ts';
import type { System } from './system.ts';

/** Where a search stops if it has not finished. */
export interface Limits {
  readonly maxStates: number;
  /** Called now and then; true stops the search. */
  readonly shouldStop: (progress: Progress) => boolean;
}

export interface Progress {
  readonly events: number;
  readonly states: number;
  readonly executions: number;
  readonly depth: number;
}

export interface SearchResult {
  readonly verdict: 'holds' | 'violated' | 'incomplete';
  readonly violation: Violation | null;
  /** The schedule that violates: every step from the start. */
  readonly schedule: readonly Action[];
  readonly events: number;
  readonly executions: number;
  readonly states: number;
}

/** How many steps between two looks at the limits. */
const STEPS_PER_LOOK = 4096;

/** Schedules in all after which a search for a shorter violation ends. */
const SHORTENING_EXECUTIONS = 2000;

/** One level of the depth-first search: what was possible there, and how to get back. */
interface Level {
  readonly actions: Action[];
  /** How many of `actions` are meant. */
  count: number;
  next: number;
  mark: number;
  low: number;
  high: number;
}

interface Found {
  readonly violation: Violation;
  readonly schedule: readonly Action[];
}

export class ExhaustiveSearch {
  readonly #system: System;
  readonly #limits: Limits;
  readonly #coverage: Coverage;
  readonly #visited = new HashSet();
  /** Levels in use are below `#depth`; those above are kept for the next time. */
  readonly #levels: Level[] = [];
  #depth = 0;
  #executions = 0;
  #states = 0;
  /** Schedules that reached an end: without one, nothing was seen of what a scenario leads to. */
  #ends = 0;
  #steps = 0;
  #events = 0;
  #stopped = false;
  #found: Found | null = null;
  /** Steps that a schedule may have. */
  #maxDepth = Number.POSITIVE_INFINITY;

  constructor(system: System, limits: Limits, coverage: Coverage) {
    this.#system = system;
    this.#limits = limits;
    this.#coverage = coverage;
  }

  /**
   * Searches with 0 events, then 1, … up to the whole budget.
   *
   * @param from the number of events to begin with: more than 0 is sooner done where all holds, and then a
   * violation need not be minimal
   */
  run(budget: Budget, from = 0): SearchResult {
    const total = EVENT_KINDS.reduce((sum, kind) => sum + budget[kind], 0);
    const { undo, checker, enabled } = this.#system;
    // The way to the start may be broken already.
    if (checker.violation !== null) this.#note(checker.violation, []);
    const { mark, low, high } = undo;
    for (let events = from; events <= total && !this.#stopped && this.#found === null; events++) {
      this.#events = events;
      undo.undo(mark, low, high);
      enabled.setBudget(budget, events);
      this.#search();
    }
    if (this.#found !== null && !this.#stopped) {
      undo.undo(mark, low, high);
      enabled.setBudget(budget, this.#events);
      this.#shorten(this.#found);
    }
    return this.#result();
  }

  #result(): SearchResult {
    const found = this.#found;
    const finished = !this.#stopped && !this.#system.enabled.truncated && this.#ends > 0;
    const verdict = found !== null ? 'violated' : finished ? 'holds' : 'incomplete';
    const schedule = found?.schedule ?? [];
    return {
      verdict,
      violation: found?.violation ?? null,
      schedule,
      events: found === null ? this.#events : eventsIn(schedule),
      executions: this.#executions,
      states: this.#states,
    };
  }

  /**
   * Looks for a schedule with fewer operations, as far as a few executions go: a state counts as visited only
   * at the same depth, since another path to it may be shorter.
   */
  #shorten(first: Found): void {
    this.#maxDepth = first.schedule.length - 1;
    this.#search();
    this.#stopped = false;
  }

  /** One depth-first search; ends at the first violation, or, where one is known, finds shorter ones. */
  #search(): void {
    const { undo } = this.#system;
    this.#visited.clear();
    this.#depth = 0;
    if (this.#mustStop()) {
      this.#stopped = true;
      return;
    }
    this.#executions++;
    this.#enter();
    while (this.#depth > 0 && !this.#stopped && !this.#isOver()) {
      const level = this.#levels[this.#depth - 1] as Level;
      if (level.next >= level.count) {
        this.#depth--;
        continue;
      }
      if (level.next > 0) {
        this.#executions++;
        undo.undo(level.mark, level.low, level.high);
      }
      if (this.#mustStop()) this.#stopped = true;
      else this.#take(level.actions[level.next++] as Action);
    }
  }

  /** Whether this search has done what it was for. */
  #isOver(): boolean {
    if (this.#found === null) return false;
    return this.#maxDepth === Number.POSITIVE_INFINITY || this.#executions >= SHORTENING_EXECUTIONS;
  }

  #take(action: Action): void {
    const system = this.#system;
    this.#coverage.took(action, system.nodeOf(action.cpu));
    system.perform(action);
    if (system.checker.violation === null) this.#enter();
    if (system.checker.violation !== null) this.#note(system.checker.violation, this.#taken());
  }

  /** The steps to where the search is. */
  #taken(): Action[] {
    const levels = this.#levels.slice(0, this.#depth);
    return levels.map((level) => level.actions[level.next - 1] as Action);
  }

  /** A violation: the first one, or a shorter one of the same invariant. */
  #note(violation: Violation, schedule: readonly Action[]): void {
    const known = this.#found;
    if (known !== null) {
      // Not what is being shortened: a dead end.
      this.#system.checker.violation = null;
      if (violation.invariant !== known.violation.invariant) return;
      if (schedule.length >= known.schedule.length) return;
      this.#maxDepth = schedule.length - 1;
    }
    this.#found = { violation, schedule };
    this.#system.checker.violation = null;
  }

  /** Enters the state that the last step led to, if it is new and not an end. */
  #enter(): void {
    const system = this.#system;
    const { low, high, mark } = system.undo;
    const bounded = this.#maxDepth !== Number.POSITIVE_INFINITY;
    const depth = this.#depth;
    if (bounded && depth >= this.#maxDepth) return;
    if (!this.#visited.add(bounded ? low ^ mix(depth, 0x2545f491) : low, high)) {
      if (this.#loops(low, high))
        system.checker.violate('I15', 'no progress: the same steps for ever');
      return;
    }
    this.#states++;
    const level = this.#levelAt(depth);
    let count = 0;
    for (let cpu = 0; cpu < system.machine.cpus.length; cpu++) {
      const kinds = system.enabled.allowed(cpu);
      count = system.enabled.list(cpu, kinds, level.actions, count);
      this.#coverage.reached(system.nodeOf(cpu).site, kinds);
    }
    if (count === 0) {
      this.#checkEnd();
      return;
    }
    level.count = count;
    level.next = 0;
    level.mark = mark;
    level.low = low;
    level.high = high;
    this.#depth++;
  }

  /** Whether the last steps led back to a state of this schedule, and nothing else could have been done. */
  #loops(low: number, high: number): boolean {
    for (let i = this.#depth - 1; i >= 0; i--) {
      const level = this.#levels[i] as Level;
      if (level.count !== 1) return false;
      if (level.low === low && level.high === high) return true;
    }
    return false;
  }

  #levelAt(depth: number): Level {
    let level = this.#levels[depth];
    if (level === undefined) {
      level = { actions: [], count: 0, next: 0, mark: 0, low: 0, high: 0 };
      this.#levels.push(level);
    }
    return level;
  }

  #checkEnd(): void {
    const system = this.#system;
    this.#ends++;
    if (system.ended) system.checker.end();
    else system.checker.violate('I16', 'deadlock: no task can run, and some have not ended');
  }

  #mustStop(): boolean {
    const full = this.#states >= this.#limits.maxStates;
    if (full || ++this.#steps % STEPS_PER_LOOK === 0) {
      const progress = {
        events: this.#events,
        states: this.#states,
        executions: this.#executions,
        depth: this.#depth,
      };
      return full || this.#limits.shouldStop(progress);
    }
    return false;
  }
}

function eventsIn(schedule: readonly Action[]): number {
  return schedule.filter((action) => action.event !== null).length;
}
