// SPDX-License-Identifier: MIT

export type { Action } from './actions.ts';
export { AmpleSets } from './ample.ts';
export {
  type Budget,
  type BudgetKind,
  EVENT_KINDS,
  type EventCounts,
  type EventKind,
  totalEvents,
  type WholeBudget,
  wholeBudget,
} from './budget.ts';
export type { Violation } from './checker.ts';
export { Coverage, type UndeliveredPair } from './coverage.ts';
export { ExhaustiveSearch, type SearchOptions } from './exhaustive.ts';
export { type Exploration, type ExploreOptions, explore } from './explore.ts';
export { ExploreError } from './explore-error.ts';
export {
  type FrameKind,
  type Invariant,
  invariant,
  type PreservedCell,
  type View,
  type Window,
} from './invariant.ts';
export { lockOrder, noSleepingWhileAtomic } from './locks.ts';
export { type Deliver, type Scenario, type Setup, scenario, type Wish } from './scenario.ts';
export type { Limits, Progress, SearchResult } from './search.ts';
export { STRATEGIES, type Strategy, type StrategyOptions } from './strategy.ts';
export type { Suspension } from './suspension.ts';
export { System } from './system.ts';
