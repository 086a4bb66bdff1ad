// SPDX-License-Identifier: MIT
// What the catalogue reaches on the reference: every site of entry, exit, switch and update, with every event there.

import { type Action, Coverage, ExhaustiveSearch, System } from '@pkslab/explore';
import { expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

const REFERENCE = { revision: 'reference', repairs: [], sabotages: [], with: {} } as const;
const limits = { maxStates: 5_000_000, shouldStop: (): boolean => false };

/** The functions whose every operation is a site of the protocol. */
const PROTOCOL = [
  'Entry.interrupt',
  'Entry.nmi',
  'Entry.pageFault',
  'nmiClass',
  'idtentryExit',
  'save',
  'restore',
  'takeSaved',
  'contextSwitch',
  'switchTo',
  'switchToNext',
  'Pkrs.schedIn',
  'Pkrs.changeRights',
  'Pkrs.writePkrs',
  'DevAccess.enable',
  'DevAccess.disable',
  'MapOwners.push',
  'MapOwners.pop',
];

/** The site without the context that was at it: `Pkrs.writePkrs:295`. */
function place(site: string | undefined): string {
  return (site ?? '?').slice((site ?? '?').indexOf(' ') + 1);
}

class Deliveries extends Coverage {
  readonly delivered = new Set<string>();
  readonly #system: System;

  constructor(system: System) {
    super(system);
    this.#system = system;
  }

  override took(action: Action, node: Parameters<Coverage['took']>[1]): void {
    super.took(action, node);
    if (action.event === null) return;
    this.delivered.add(`${place(this.#system.tries.sites[node.site])} ${action.event}`);
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
    system.release();
    for (const site of deliveries.sitesReached) reached.add(place(site));
    for (const { site, event } of deliveries.undelivered) untried.add(`${place(site)} ${event}`);
    for (const pair of deliveries.delivered) tried.add(pair);
  }
  const ofProtocol = (site: string): boolean =>
    PROTOCOL.includes(site.slice(0, site.lastIndexOf(':')));
  const never = [...untried].filter((pair) => !tried.has(pair));
  process.stdout.write(
    `catalogue on reference: ${reached.size} sites, ${tried.size} (site, event) pairs tried; never tried: ${never.join(', ') || 'none'}\n`,
  );
  for (const name of PROTOCOL) {
    expect(
      [...reached].some((site) => site.startsWith(`${name}:`)),
      name,
    ).toBe(true);
  }
  expect(never.filter((pair) => ofProtocol(pair.slice(0, pair.lastIndexOf(' '))))).toEqual([]);
  // Each kind of event came into each kind of code.
  for (const name of ['save', 'restore', 'switchTo', 'Pkrs.writePkrs', 'DevAccess.enable']) {
    expect([...tried].some((pair) => pair.startsWith(`${name}:`) && pair.endsWith(' nmi'))).toBe(
      true,
    );
  }
});
