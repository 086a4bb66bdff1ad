// SPDX-License-Identifier: MIT

export type { Action } from './actions.ts';
export type { Attribution, Tried } from './attribute.ts';
export {
  type Budget,
  type BudgetKind,
  EVENT_KINDS,
  type EventCounts,
  type EventKind,
  totalEvents,
  type WholeBudget,
} from './budget.ts';
export type { CellHistory } from './cell-history.ts';
export type { Violation } from './checker.ts';
export { type ChromeTrace, chromeTrace, type TraceEvent } from './chrome-trace.ts';
export { Coverage, type UndeliveredPair } from './coverage.ts';
export { ENGINES, type Engine } from './director.ts';
export { ExhaustiveSearch } from './exhaustive.ts';
export type { Explanation } from './explanation.ts';
export { type Exploration, type ExploreOptions, explore } from './explore.ts';
export { EndlessCall, ExploreError } from './explore-error.ts';
export type { Guide, GuidePoint } from './guide.ts';
export {
  type FrameKind,
  type Invariant,
  invariant,
  type View,
  type WatchedCell,
  type Window,
} from './invariant.ts';
export { lockOrder, noSleepingWhileAtomic } from './locks.ts';
export { mermaidText } from './mermaid.ts';
export type { NearestPassing } from './nearest.ts';
export { type MemoryAccess, memoryAccess } from './reach.ts';
export type { Recording, TraceStep, WatchedValue } from './recording.ts';
export type { CrashedMemory, Recovery } from './recovery.ts';
export { type Replay, type ReplayOptions, replay, stepsOf } from './replay.ts';
export { parseTrace, type SavedTrace } from './saved-trace.ts';
export { type Deliver, type Scenario, type Setup, scenario, type Wish } from './scenario.ts';
export type { Limits, Progress, SearchResult } from './search.ts';
export { STRATEGIES, type Strategy, type StrategyOptions } from './strategy.ts';
export type { Suspension } from './suspension.ts';
export { System } from './system.ts';
export { endingText, headerText, stepText, traceText } from './trace.ts';
export type { WaitingTask, WantedCell } from './waiting.ts';
