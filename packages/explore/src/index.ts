// SPDX-License-Identifier: MIT

export type { Action } from './actions.ts';
export type { Violation } from './checker.ts';
export { Coverage, type UndeliveredPair } from './coverage.ts';
export { ExhaustiveSearch, type Limits, type Progress, type SearchResult } from './exhaustive.ts';
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
export {
  type Budget,
  EVENT_KINDS,
  type EventKind,
  type Scenario,
  type Setup,
  scenario,
  type Wish,
} from './scenario.ts';
export type { Suspension } from './suspension.ts';
export { System } from './system.ts';
