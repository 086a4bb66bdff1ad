// SPDX-License-Identifier: MIT

/**
 * What was asked of the explorer cannot be done: a number of CPUs that a scenario does not have, a saved trace
 * that cannot be read. The message says what to do.
 */
export class ExploreError extends Error {
  override readonly name = 'ExploreError';
}
