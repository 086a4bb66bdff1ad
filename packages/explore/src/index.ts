// SPDX-License-Identifier: MIT

export type { Violation } from './checker.ts';
export { Coverage, type UndeliveredPair } from './coverage.ts';
export { ExhaustiveSearch, type Limits, type Progress, type SearchResult } from './exhaustive.ts';
export { type Exploration, type ExploreOptions, explore } from './explore.ts';
export {
  type FrameKind,
  type Invariant,
  invariant,
  type PreservedCell,
  type View,
} from './invariant.ts';
export {
  type Budget,
  EVENT_KINDS,
  type EventKind,
  type Scenario,
  type Setup,
  scenario,
} from './scenario.ts';
export { type Action, System } from './system.ts';
