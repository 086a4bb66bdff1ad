// SPDX-License-Identifier: MIT
// Sources of events that fire at a chosen operation boundary: for tests of single interleavings.

/** Fires at its n-th boundary, once; give it to `kernel.runner.attach`. */
export interface BoundaryScript<Runner> {
  boundary(runner: Runner, kind: number): void;
  /** Whether the n-th boundary was reached. */
  readonly fired: boolean;
}

/** A source that calls `fire` at the n-th boundary that it sees; the first is 1. */
export function atBoundary<Runner>(
  n: number,
  fire: (runner: Runner, kind: number) => unknown,
): BoundaryScript<Runner> {
  let seen = 0;
  return {
    boundary(runner, kind) {
      seen++;
      if (seen === n) fire(runner, kind);
    },
    get fired() {
      return seen >= n;
    },
  };
}

/**
 * Runs a scenario once for each of its boundaries, with `fire` at that one; returns how many there are.
 *
 * `run` boots a fresh kernel, attaches the source, runs, and checks.
 */
export function atEveryBoundary<Runner>(
  fire: (runner: Runner, kind: number) => unknown,
  run: (source: BoundaryScript<Runner>, n: number) => void,
): number {
  for (let n = 1; ; n++) {
    const source = atBoundary(n, fire);
    run(source, n);
    if (!source.fired) return n - 1;
  }
}
