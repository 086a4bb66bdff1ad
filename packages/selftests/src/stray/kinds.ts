// SPDX-License-Identifier: MIT
// Where stray writes come from, and what became of them.

/**
 * Contexts that a stray write comes from:
 * - `interrupt` — the handler of the buggy device, on the CPU of the victim;
 * - `nmi` — its NMI handler;
 * - `otherTask` — a kernel thread that preempted the victim on its CPU;
 * - `otherCpu` — a kernel thread on another CPU;
 * - `sameTask` — the victim itself, while it holds a window open: nothing that a key can stop.
 */
export type StrayContext = 'interrupt' | 'nmi' | 'otherTask' | 'otherCpu' | 'sameTask';

export const strayContexts: readonly StrayContext[] = Object.freeze([
  'interrupt',
  'nmi',
  'otherTask',
  'otherCpu',
  'sameTask',
] as const);

/** What became of the stray writes of a context: attempted = stopped + insideWindow + reached. */
export interface StrayCounts {
  attempted: number;
  /** Nothing changed in memory. */
  stopped: number;
  /** Changed the canary extent, by the task that held the window open. */
  insideWindow: number;
  /** Changed persistent memory otherwise. */
  reached: number;
  /** Attempted while a window was open on the victim's CPU. */
  whileOpen: number;
}

export function noStrays(): StrayCounts {
  return { attempted: 0, stopped: 0, insideWindow: 0, reached: 0, whileOpen: 0 };
}

/** The sum over contexts. */
export function sumStrays(
  counts: Readonly<Record<StrayContext, Readonly<StrayCounts>>>,
): StrayCounts {
  const sum = noStrays();
  for (const context of strayContexts) {
    const part = counts[context];
    sum.attempted += part.attempted;
    sum.stopped += part.stopped;
    sum.insideWindow += part.insideWindow;
    sum.reached += part.reached;
    sum.whileOpen += part.whileOpen;
  }
  return sum;
}
