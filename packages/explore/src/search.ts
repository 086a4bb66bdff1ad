// SPDX-License-Identifier: MIT
// What every strategy is given, and what it returns.

import type { Action } from './actions.ts';
import type { Violation } from './checker.ts';

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
  /** Whether every schedule with as many events and fewer operations was looked at, and none violates. */
  readonly shortest?: boolean;
}

/** Message of the I15 that a search finds: a schedule that goes in a circle. */
export const NO_PROGRESS = 'no progress: the same steps for ever';

/** Message of the I16 that a search finds at the end of a schedule. */
export const DEADLOCK = 'deadlock: no task can run, and some have not ended';

/** Events in a schedule that a budget counts. */
export function eventsIn(schedule: readonly Action[]): number {
  return schedule.filter(({ event }) => event !== null && event !== 'ipi').length;
}
