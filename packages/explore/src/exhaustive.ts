// SPDX-License-Identifier: MIT
// The exhaustive strategy: for each number of events, smallest first, a depth-first search over states.

import type { Violation } from './checker.ts';
import type { Coverage } from './coverage.ts';
import { HashSet } from './hash.ts';
import { type Budget, EVENT_KINDS } from './scenario.ts';
import type { Action, System } from './system.ts';

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

/** One level of the depth-first search: what was possible there, and how to get back. */
interface Level {
  readonly actions: Action[];
  next: number;
  readonly mark: number;
  readonly low: number;
  readonly high: number;
}

export class ExhaustiveSearch {
  readonly #system: System;
  readonly #limits: Limits;
  readonly #coverage: Coverage;
  #visited = new HashSet();
  #levels: Level[] = [];
  #taken: Action[] = [];
  #executions = 0;
  #states = 0;
  #steps = 0;
  #events = 0;
  #stopped = false;

  constructor(system: System, limits: Limits, coverage: Coverage) {
    this.#system = system;
    this.#limits = limits;
    this.#coverage = coverage;
  }

  /** Searches with 0 events, then 1, … up to the whole budget. */
  run(budget: Budget): SearchResult {
    const total = EVENT_KINDS.reduce((sum, kind) => sum + budget[kind], 0);
    const { undo } = this.#system;
    const { mark, low, high } = undo;
    for (let events = 0; events <= total; events++) {
      undo.undo(mark, low, high);
      this.#events = events;
      this.#setBudget(budget, events);
      if (this.#search()) {
        return this.#result('violated', this.#system.checker.violation, [...this.#taken]);
      }
      if (this.#stopped) return this.#result('incomplete', null, []);
    }
    return this.#result('holds', null, []);
  }

  #setBudget(budget: Budget, events: number): void {
    const column = this.#system.budget;
    for (let i = 0; i < EVENT_KINDS.length; i++) {
      column.poke(i, budget[EVENT_KINDS[i] as keyof Budget]);
    }
    column.poke(EVENT_KINDS.length, events);
    this.#visited = new HashSet();
    this.#levels = [];
    this.#taken = [];
  }

  #result(
    verdict: SearchResult['verdict'],
    violation: Violation | null,
    schedule: readonly Action[],
  ): SearchResult {
    const events = schedule.filter((action) => action.event !== null).length;
    const counts = { executions: this.#executions, states: this.#states };
    return {
      verdict,
      violation,
      schedule,
      events: violation === null ? this.#events : events,
      ...counts,
    };
  }

  /** One depth-first search; true once a violation was found, with the schedule in `#taken`. */
  #search(): boolean {
    const system = this.#system;
    this.#executions++;
    if (!this.#enter()) return system.checker.violation !== null;
    while (this.#levels.length > 0) {
      const level = this.#levels[this.#levels.length - 1] as Level;
      if (level.next >= level.actions.length) {
        this.#levels.pop();
        this.#taken.length = Math.max(0, this.#levels.length - 1);
        continue;
      }
      if (level.next > 0) {
        this.#executions++;
        system.undo.undo(level.mark, level.low, level.high);
      }
      const action = level.actions[level.next++] as Action;
      this.#taken.length = this.#levels.length - 1;
      this.#taken.push(action);
      this.#coverage.took(action, system.nodeOf(action.cpu));
      system.perform(action);
      if (system.checker.violation !== null) return true;
      if (this.#look()) return false;
      if (!this.#enter() && system.checker.violation !== null) return true;
    }
    return false;
  }

  /** Enters the state that the last step led to; false if it was visited, or is an end. */
  #enter(): boolean {
    const system = this.#system;
    const { low, high, mark } = system.undo;
    if (!this.#visited.add(low, high)) return false;
    this.#states++;
    const actions: Action[] = [];
    for (const cpu of system.machine.cpus) {
      system.actions(cpu.index, actions);
      this.#coverage.reached(cpu.index);
    }
    if (actions.length === 0) {
      this.#checkEnd();
      return false;
    }
    this.#levels.push({ actions, next: 0, mark, low, high });
    return true;
  }

  #checkEnd(): void {
    const system = this.#system;
    if (system.ended) system.checker.end();
    else system.checker.violate('I16', 'deadlock: no task can run, and some have not ended');
  }

  #look(): boolean {
    if (++this.#steps % STEPS_PER_LOOK !== 0 && this.#states < this.#limits.maxStates) return false;
    const progress = {
      events: this.#events,
      states: this.#states,
      executions: this.#executions,
      depth: this.#levels.length,
    };
    this.#stopped = this.#states >= this.#limits.maxStates || this.#limits.shouldStop(progress);
    return this.#stopped;
  }
}
