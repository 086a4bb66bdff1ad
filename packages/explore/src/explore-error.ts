// SPDX-License-Identifier: MIT

/**
 * What was asked of the explorer cannot be done: a number of CPUs that a scenario does not have, a saved trace
 * that cannot be read. The message says what to do.
 */
export class ExploreError extends Error {
  override readonly name: string = 'ExploreError';
}

/** Operations that one call of a task, or one handler, may perform: more of them are a loop without an end. */
export const OPERATIONS_MAX = 5000;

/**
 * A call performs more operations than any may: it spins, where it should say what it waits for. The message names
 * the task or handler, its function, and the operations that repeat.
 */
export class EndlessCall extends ExploreError {
  override readonly name = 'EndlessCall';
}
