// SPDX-License-Identifier: MIT
// One schedule, decided step by step.

import type { Action } from './actions.ts';

/** Decides a schedule: asked for each step, it is then told that the step is made. */
export interface Director {
  /** The next step; null at the end. */
  next(): Action | null;
  /** Makes the step that `next` gave. */
  perform(action: Action): void;
}

/**
 * What runs a schedule.
 *
 * - `memoised`: contexts are nodes of what was learnt of the code, so that a search can go back to any state.
 * - `live`: the code itself on the host's stack, events as nested calls, so that breakpoints work; each operation, and
 *   at events and at the end all cells, are compared with the other engine's.
 */
export type Engine = 'memoised' | 'live';

export const ENGINES: readonly Engine[] = ['memoised', 'live'];

/** Runs a schedule on the memoised engine. */
export function direct(director: Director): void {
  for (let action = director.next(); action !== null; action = director.next()) {
    director.perform(action);
  }
}
