// SPDX-License-Identifier: MIT
// The catalogue: unique names, nothing on the reference, and no event that stays untried where it matters.

import { explore, type Scenario } from '@pkslab/explore';
import { describe, expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

/** Searched to its end in catalogue.slow.test.ts. */
const small = scenarios.filter(({ name }) => name !== 'everything');

function named(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`no scenario ${name}`);
  return found;
}

describe('scenarios', () => {
  it('have names and titles of their own', () => {
    expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
    expect(new Set(scenarios.map(({ title }) => title)).size).toBe(scenarios.length);
    for (const { name } of scenarios) expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
  });
});

describe('on reference', () => {
  it.each(small)('$name holds, and its space is finished', (scenario) => {
    const held = explore(scenario);
    expect(held).toMatchObject({ verdict: 'holds', message: null });
    expect(held.states).toBeLessThan(3_000_000);
  });
});

describe('everything', () => {
  it('finds D-01 first in rfc-v2', () => {
    const found = explore(named('everything'), { revision: 'rfc-v2' });
    expect(found).toMatchObject({ verdict: 'violated', attributedTo: 'D-01', events: 1 });
    expect(found.executions).toBeLessThanOrEqual(2000);
  });
});
