// SPDX-License-Identifier: MIT
// One depth-first search over states, from a start, with a budget of events.

import { type Action, isEnd } from './actions.ts';
import type { AmpleSets } from './ample.ts';
import type { Budget } from './budget.ts';
import type { Violation } from './checker.ts';
import type { Coverage } from './coverage.ts';
import type { UndoLog } from './journal.ts';
import { type Limits, NO_PROGRESS } from './search.ts';
import type { SwitchBound } from './switch-bound.ts';
import type { System } from './system.ts';
import { ExactStates, HashedStates, type Visited } from './visited.ts';

/** What may be special about a search. */
export interface SearchOptions {
  /** Lets a CPU be expanded alone. */
  readonly ample?: AmpleSets | null;
  /** Bounds context switches between CPUs. */
  readonly switches?: SwitchBound | null;
  /** Keeps whole states in place of hashes. */
  readonly exact?: boolean;
  /** Steps that lead to where the search begins. */
  readonly prefix?: readonly Action[];
}

/** A point of the undo log, and the hash there. */
export interface Start {
  readonly mark: number;
  readonly low: number;
  readonly high: number;
}

/** Of the states with one way on, one in so many is kept. */
const CHAIN_SAMPLE = 8;

/** States with one way on that may follow each other without one that is kept: a circle has an end. */
const CHAIN_MAX = 64;

/** How many steps between two looks at the limits. */
const STEPS_PER_LOOK = 4096;

/** One level of the depth-first search: what was possible there, and how to get back. */
interface Level {
  readonly actions: Action[];
  /** How many of `actions` are to be taken. */
  count: number;
  /** How many there are: more than `count` where a CPU stands alone. */
  all: number;
  /** Whether only one thing could have happened, a bound on switches aside. */
  oneWay: boolean;
  /** Whether a schedule without further events ends there. */
  isEnd: boolean;
  next: number;
  mark: number;
  low: number;
  high: number;
}

/** Whether only one thing can happen; that the power fails does not count. */
function goesOneWay(actions: readonly Action[], count: number): boolean {
  if (count === 2) return actions[0]?.event === 'powerFail' || actions[1]?.event === 'powerFail';
  return count === 1;
}

/** Schedules in all after which a search for a shorter violation ends. */
export const SHORTENING_EXECUTIONS = 2000;

/** A violation, and the steps that led to it. */
export interface Found {
  readonly violation: Violation;
  readonly schedule: readonly Action[];
}

export class DepthFirst {
  executions = 0;
  states = 0;
  /** Schedules that reached an end: without one, nothing was seen of what a scenario leads to. */
  ends = 0;
  /** Events that a schedule may have. */
  events = 0;
  /** Steps that a schedule may have; a search that is bounded so looks for shorter schedules than the one found. */
  maxDepth: number = Number.POSITIVE_INFINITY;
  stopped = false;
  found: Found | null = null;
  ample: AmpleSets | null;
  /** The odds that two states of the searches so far shared a hash. */
  odds = 0;
  private readonly system: System;
  private readonly limits: Limits;
  private readonly coverage: Coverage;
  private readonly visited: Visited;
  private readonly switches: SwitchBound | null;
  private readonly prefix: readonly Action[];
  /** Levels in use are below `depth`; those above are kept for the next time. */
  private readonly levels: Level[] = [];
  private depth = 0;
  private steps = 0;
  /** States since the last one that was kept. */
  private chain = 0;

  constructor(system: System, limits: Limits, coverage: Coverage, options: SearchOptions = {}) {
    this.system = system;
    this.limits = limits;
    this.coverage = coverage;
    this.visited = options.exact === true ? new ExactStates() : new HashedStates();
    this.ample = options.ample ?? null;
    this.switches = options.switches ?? null;
    this.prefix = options.prefix ?? [];
  }

  /** One depth-first search; ends at the first violation, or, where one is known, finds shorter ones. */
  search(budget: Budget, start: Start): void {
    this.visited.clear();
    this.ample?.begin();
    this.depth = 0;
    if (this.mustStop()) {
      this.stopped = true;
      return;
    }
    this.begin(budget, start);
    this.climb();
    this.odds = Math.min(1, this.odds + this.visited.collisionOdds);
  }

  private begin(budget: Budget, start: Start): void {
    const { undo } = this.system;
    undo.undo(start.mark, start.low, start.high);
    this.system.enabled.setBudget(budget, this.events);
    for (const action of this.prefix) this.system.perform(action);
    if (this.system.checker.violation !== null) {
      this.note(this.system.checker.violation, this.prefix);
    }
    this.executions++;
    if (this.found === null || this.isBounded) this.enter();
    // The start may be the end: a deadlock.
    if (this.system.checker.violation !== null) {
      this.note(this.system.checker.violation, this.prefix);
    }
  }

  private climb(): void {
    const { undo } = this.system;
    while (this.depth > 0 && !this.stopped && !this.isOver()) {
      const level = this.levels[this.depth - 1] as Level;
      if (level.next >= level.count) {
        this.depth--;
        this.ample?.leave(level);
        continue;
      }
      if (level.next > 0) {
        this.executions++;
        undo.undo(level.mark, level.low, level.high);
      }
      if (this.mustStop()) this.stopped = true;
      else this.take(level, level.actions[level.next++] as Action);
    }
  }

  private get isBounded(): boolean {
    return this.maxDepth !== Number.POSITIVE_INFINITY;
  }

  /** Whether this search has done what it was for, or has to begin again. */
  private isOver(): boolean {
    if (this.found === null) return this.ample?.owners.broken === true;
    return !this.isBounded || this.executions >= SHORTENING_EXECUTIONS;
  }

  private take(level: Level, action: Action): void {
    const { system } = this;
    const { checker } = system;
    if (action.event !== null) this.coverage.took(action, system.nodeOf(action.cpu));
    this.ample?.note(action);
    this.switches?.take(action, level.actions, level.all);
    system.perform(action);
    if (checker.violation === null) this.enter();
    if (checker.violation !== null) this.note(checker.violation, this.taken());
  }

  /** The steps to where the search is. */
  private taken(): Action[] {
    const levels = this.levels.slice(0, this.depth);
    return [...this.prefix, ...levels.map((level) => level.actions[level.next - 1] as Action)];
  }

  /** A violation: the first one, or a shorter one of the same invariant. */
  note(violation: Violation, schedule: readonly Action[]): void {
    const known = this.found;
    if (known !== null) {
      // Not what is being shortened: a dead end.
      this.system.checker.violation = null;
      if (violation.invariant !== known.violation.invariant) return;
      if (schedule.length >= known.schedule.length) return;
      this.maxDepth = schedule.length - 1;
    }
    this.found = { violation, schedule };
    this.system.checker.violation = null;
  }

  /** Enters the state that the last step led to, if it is new and not an end. */
  private enter(): void {
    const { undo } = this.system;
    const depth = this.depth;
    if (this.isBounded && depth >= this.maxDepth) return;
    const level = this.levelAt(depth);
    this.list(level);
    if (this.isKept(level) && !this.visited.add(undo, this.isBounded ? depth + 1 : 0)) {
      if (this.loops(undo.low, undo.high)) this.system.checker.violate('I15', NO_PROGRESS);
      this.putNobodyOff(undo);
      return;
    }
    this.states++;
    if (level.isEnd) {
      this.checkEnd();
      if (level.count === 0 || this.system.checker.violation !== null) return;
    }
    level.next = 0;
    level.mark = undo.mark;
    level.low = undo.low;
    level.high = undo.high;
    this.depth++;
    this.ample?.enter(level);
  }

  /**
   * Whether a state is to be known again. Of those with one way on only every so many are: a path that meets
   * another one there goes along with it for some steps, which costs less than a look at a large table for each.
   */
  private isKept({ count, actions }: Level): boolean {
    const oneWay = count === 1 && !this.isBounded;
    if (oneWay && this.system.nodeOf((actions[0] as Action).cpu).id % CHAIN_SAMPLE !== 0) {
      if (++this.chain < CHAIN_MAX) return false;
    }
    this.chain = 0;
    return true;
  }

  /** A CPU that stands alone and goes in a circle would put the others off for ever: they get their turn here. */
  private putNobodyOff(undo: UndoLog): void {
    if (this.ample?.isOnPath(undo) !== true) return;
    const level = this.levels[this.depth - 1] as Level;
    level.count = level.all;
  }

  /** Lists what can happen: first what a CPU that stands alone can do, where there is one. */
  private list(level: Level): void {
    const { actions } = level;
    const cpus = this.system.machine.cpus.length;
    const alone = this.ample === null ? -1 : this.ample.alone;
    let count = alone < 0 ? 0 : this.listCpu(alone, actions, 0);
    level.count = count;
    for (let cpu = 0; cpu < cpus; cpu++) {
      if (cpu !== alone) count = this.listCpu(cpu, actions, count);
    }
    level.oneWay = goesOneWay(actions, count);
    level.isEnd = isEnd(actions, count);
    if (this.switches !== null) count = this.switches.filter(actions, count);
    level.all = count;
    if (alone < 0 || level.count > count) level.count = count;
  }

  private listCpu(cpu: number, actions: Action[], count: number): number {
    const { enabled } = this.system;
    const kinds = enabled.allowed(cpu);
    this.coverage.reached(this.system.nodeOf(cpu), kinds | enabled.leftOut);
    return enabled.list(cpu, kinds, actions, count);
  }

  /** Whether the last steps led back to a state of this schedule, and nothing else could have been done. */
  private loops(low: number, high: number): boolean {
    for (let i = this.depth - 1; i >= 0; i--) {
      const level = this.levels[i] as Level;
      if (!level.oneWay) return false;
      if (level.low === low && level.high === high) return true;
    }
    return false;
  }

  private levelAt(depth: number): Level {
    let level = this.levels[depth];
    if (level === undefined) {
      const empty = { count: 0, all: 0, oneWay: false, isEnd: false };
      level = { actions: [], ...empty, next: 0, mark: 0, low: 0, high: 0 };
      this.levels.push(level);
    }
    return level;
  }

  private checkEnd(): void {
    this.ends++;
    this.system.finish();
  }

  private mustStop(): boolean {
    const full = this.states >= this.limits.maxStates;
    if (full || ++this.steps % STEPS_PER_LOOK === 0) {
      const { events, states, executions, depth } = this;
      return full || this.limits.shouldStop({ events, states, executions, depth });
    }
    return false;
  }
}
