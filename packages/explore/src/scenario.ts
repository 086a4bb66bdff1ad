// SPDX-License-Identifier: MIT
// What is explored: a booted kernel with its tasks, the events that may happen, and what must hold.

import type { Kernel, RevisionRequest } from '@pkslab/kernel';
import type { Invariant } from './invariant.ts';

/** Kinds of events, in the order of their budgets. */
export const EVENT_KINDS = ['irq', 'nmi', 'preempt', 'pageFault'] as const;

export type EventKind = (typeof EVENT_KINDS)[number];

/** How many events of each kind may happen in one schedule, on the whole machine. */
export type Budget = Readonly<Record<EventKind, number>>;

/** A kernel ready to be explored. */
export interface Setup {
  readonly kernel: Kernel;
  /** Tasks whose end is the scenario's end. Task n starts on CPU n, as far as there are CPUs. */
  readonly tasks: readonly number[];
  readonly invariants: readonly Invariant[];
  /** Vectors of `irq` events; default one, 0x20. */
  readonly vectors?: readonly number[];
}

/**
 * A scenario: code of tasks and handlers on a kernel of any revision, and the events around it.
 *
 * Its `setup` is called once for each exploration; the code that its tasks and handlers run must touch
 * nothing but the machine.
 */
export interface Scenario {
  readonly name: string;
  /** One sentence: what happens in it. */
  readonly title: string;
  readonly budget: Budget;
  setup(request: RevisionRequest): Setup;
}

/** Declares a scenario; returns it unchanged. */
export function scenario(definition: Scenario): Scenario {
  return definition;
}
