// SPDX-License-Identifier: MIT
// How many events a schedule may have: of each kind on the machine, and on each CPU.

/**
 * Kinds of events.
 *
 * `ipi` is the arrival of an interrupt that the kernel's own code has sent: it needs no budget, as another
 * CPU's step needs none. `powerFail` ends the run of all CPUs and begins the scenario's recovery.
 */
export const EVENT_KINDS = [
  'irq',
  'nmi',
  'preempt',
  'pageFault',
  'machineCheck',
  'migrate',
  'ipi',
  'powerFail',
] as const;

export type EventKind = (typeof EVENT_KINDS)[number];

/** Kinds that a budget limits. */
export type BudgetKind = Exclude<EventKind, 'ipi'>;

/** A number for each kind; a kind that is left out counts as 0. */
export type EventCounts = Readonly<Partial<Record<BudgetKind, number>>>;

/**
 * How many events of each kind may happen in one schedule, on the whole machine.
 *
 * `perCpu` limits kinds on each CPU as well. A kind that stands there alone may happen so often on each CPU.
 *
 * @example
 * const budget: Budget = { irq: 2, perCpu: { nmi: 1 } };
 * totalEvents(budget, 2); // => 4
 */
export interface Budget extends EventCounts {
  readonly perCpu?: EventCounts;
}

/** A budget with every kind spelled out. */
export type WholeBudget = Readonly<Record<BudgetKind, number>> & { readonly perCpu?: EventCounts };

/** Spells a budget out for a machine of so many CPUs. */
export function wholeBudget({ perCpu, ...counts }: Budget, cpus: number): WholeBudget {
  const whole = {} as Record<BudgetKind, number>;
  for (const kind of EVENT_KINDS) {
    if (kind === 'ipi') continue;
    whole[kind] = counts[kind] ?? (perCpu?.[kind] ?? 0) * cpus;
  }
  return perCpu === undefined ? whole : { ...whole, perCpu };
}

/** Events of all kinds together that a budget allows on a machine of so many CPUs. */
export function totalEvents(budget: Budget, cpus: number): number {
  const { perCpu: _, ...counts } = wholeBudget(budget, cpus);
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
