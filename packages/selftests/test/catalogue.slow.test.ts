// SPDX-License-Identifier: MIT
// The whole space of the largest scenario.

import { explore } from '@pkslab/explore';
import { expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

const everything = scenarios.find(({ name }) => name === 'everything');

it('reference holds with every kind of event, its space finished and every allowed event delivered', () => {
  if (everything === undefined) throw new Error('the catalogue has no scenario "everything"');
  expect(everything.budget).toEqual({ irq: 1, nmi: 1, preempt: 2, pageFault: 1 });
  const held = explore(everything);
  expect(held).toMatchObject({ verdict: 'holds', message: null, undelivered: [] });
  expect(held.states).toBeGreaterThan(1_000_000);
  // Nothing is left unchecked beyond the windows that the code marks.
  expect(new Set(held.suspended.map(({ window }) => window))).toEqual(
    new Set(['update', 'switch', 'entry', 'grantUpdate']),
  );
});
