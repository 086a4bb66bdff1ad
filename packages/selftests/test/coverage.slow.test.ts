// SPDX-License-Identifier: MIT
// What the catalogue reaches on the reference: every site of entry, exit, switch and update, with every event there.

import { type Action, Coverage, ExhaustiveSearch, System } from '@pkslab/explore';
import { expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

const REFERENCE = { revision: 'reference', repairs: [], sabotages: [], with: {} } as const;
const limits = { maxStates: 5_000_000, shouldStop: (): boolean => false };

/** The functions of entry, exit, switch and update, whose every operation is a site of the protocol. */
const PROTOCOL: ReadonlySet<string> = new Set(
  'common_interrupt exc_nmi exc_page_fault xen_pv_evtchn_do_upcall nmi_enter nmi_exit idtentry_enter idtentry_exit idtentry_exit_cond_resched save restore __schedule preempt_schedule_irq context_switch __switch_to finish_task_switch pks_sched_in pks_update_protection write_pkrs dev_access_enable dev_access_disable push pop'.split(
    ' ',
  ),
);

/** The function of a place; empty for code of a task that has no name. */
function functionOf(place: string): string {
  return place.slice(0, Math.max(0, place.indexOf(':')));
}

/** The site without the context that was at it: `write_pkrs: wrmsr 0x6e1`. */
function placeOf(site: string): string {
  return site.slice(site.indexOf(' ') + 1);
}

type Node = Parameters<Coverage['took']>[1];

/** Notes where events were delivered; sites get their names when the search is over. */
class Deliveries extends Coverage {
  readonly #system: System;
  readonly #taken = new Map<Node, Set<string>>();

  constructor(system: System) {
    super(system);
    this.#system = system;
  }

  override took(action: Action, node: Node): void {
    super.took(action, node);
    if (action.event === null) return;
    const events = this.#taken.get(node) ?? new Set<string>();
    this.#taken.set(node, events.add(action.event));
  }

  get delivered(): string[] {
    const { tries } = this.#system;
    return [...this.#taken].flatMap(([node, events]) =>
      [...events].map((event) => `${placeOf(tries.sites.nameOf(tries.siteOf(node)))} ${event}`),
    );
  }
}

it('reaches every site of the protocol, and tries every event that may come there', () => {
  const reached = new Set<string>();
  const untried = new Set<string>();
  const tried = new Set<string>();
  for (const scenario of scenarios) {
    // Its own test searches it to the end: catalogue.slow.test.ts.
    if (scenario.name === 'everything') continue;
    const system = new System(scenario.setup(REFERENCE));
    const deliveries = new Deliveries(system);
    new ExhaustiveSearch(system, limits, deliveries).run(scenario.budget);
    for (const site of deliveries.sitesReached) reached.add(placeOf(site));
    for (const { site, event } of deliveries.undelivered) untried.add(`${placeOf(site)} ${event}`);
    for (const pair of deliveries.delivered) tried.add(pair);
    system.release();
  }
  const ofProtocol = (site: string): boolean => PROTOCOL.has(functionOf(site));
  const never = [...untried].filter((pair) => !tried.has(pair));
  process.stdout.write(
    `catalogue on reference: ${reached.size} sites, ${tried.size} (site, event) pairs tried; never tried: ${never.join(', ') || 'none'}\n`,
  );
  const functions = new Set([...reached].map(functionOf));
  for (const name of PROTOCOL) expect(functions, name).toContain(name);
  expect(never.filter((pair) => ofProtocol(pair.slice(0, pair.lastIndexOf(' '))))).toEqual([]);
  // NMIs came into each kind of code.
  const underNmi = [...tried].filter((pair) => pair.endsWith(' nmi')).map(functionOf);
  for (const name of [
    'save',
    'restore',
    '__switch_to',
    'write_pkrs',
    'dev_access_enable',
    'dev_access_disable',
  ]) {
    expect(underNmi).toContain(name);
  }
});
