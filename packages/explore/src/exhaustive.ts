// SPDX-License-Identifier: MIT
// Searches over states: for each number of events, smallest first, or over the whole budget at once.

import { type Budget, totalEvents } from './budget.ts';
import type { Coverage } from './coverage.ts';
import {
  DepthFirst,
  type Found,
  type SearchOptions,
  SHORTENING_EXECUTIONS,
  type Start,
} from './depth-first.ts';
import { eventsIn, type Limits, type SearchResult } from './search.ts';
import type { System } from './system.ts';

export type { SearchOptions } from './depth-first.ts';
export type { Limits, SearchResult } from './search.ts';

export class ExhaustiveSearch {
  private readonly system: System;
  private readonly depthFirst: DepthFirst;
  private readonly isPrefixed: boolean;
  private shortest = false;

  constructor(system: System, limits: Limits, coverage: Coverage, options: SearchOptions = {}) {
    this.system = system;
    this.depthFirst = new DepthFirst(system, limits, coverage, options);
    this.isPrefixed = (options.prefix ?? []).length > 0;
  }

  /** The odds that two states which were told apart by their hashes shared one. */
  get collisionOdds(): number {
    return this.depthFirst.odds;
  }

  /**
   * Searches with 0 events, then 1, … up to the whole budget.
   *
   * @param from the number of events to begin with: more than 0 is sooner done where all holds, and then a
   * violation need not be minimal
   */
  run(budget: Budget, from = 0): SearchResult {
    const { depthFirst } = this;
    const { undo, checker, machine } = this.system;
    const total = totalEvents(budget, machine.cpus.length);
    // The way to the start may be broken already.
    if (checker.violation !== null) depthFirst.note(checker.violation, []);
    const start = { mark: undo.mark, low: undo.low, high: undo.high };
    for (let events = from; events <= total && !this.isOver; events++) {
      depthFirst.events = events;
      do depthFirst.search(budget, start);
      while (this.mustRepeat());
    }
    const { found, stopped } = depthFirst;
    if (found !== null && !this.isPrefixed && !stopped) this.shorten(found, budget, start);
    return this.result();
  }

  private get isOver(): boolean {
    return this.depthFirst.stopped || this.depthFirst.found !== null;
  }

  /** Whether the search relied on what turned out not to be so. */
  private mustRepeat(): boolean {
    if (this.isOver) return false;
    const { ample } = this.depthFirst;
    if (ample?.owners.broken === true) {
      ample.owners.broken = false;
      return true;
    }
    return this.system.enabled.conflicts?.learn() === true;
  }

  private result(): SearchResult {
    const { found, stopped, ends, events, executions, states } = this.depthFirst;
    const finished = !stopped && !this.system.enabled.truncated && ends > 0;
    const schedule = found?.schedule ?? [];
    return {
      verdict: found !== null ? 'violated' : finished ? 'holds' : 'incomplete',
      violation: found?.violation ?? null,
      schedule,
      events: found === null ? events : eventsIn(schedule),
      executions,
      states,
      shortest: this.shortest,
    };
  }

  /**
   * Looks for a schedule with fewer operations, as far as a few executions go: a state counts as visited only
   * at the same depth, since another path to it may be shorter.
   */
  private shorten(first: Found, budget: Budget, start: Start): void {
    const { depthFirst } = this;
    depthFirst.maxDepth = first.schedule.length - 1;
    depthFirst.ample = null;
    depthFirst.search(budget, start);
    this.shortest = !depthFirst.stopped && depthFirst.executions < SHORTENING_EXECUTIONS;
    depthFirst.stopped = false;
  }
}
