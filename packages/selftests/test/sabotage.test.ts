// SPDX-License-Identifier: MIT
// Ten sabotages of the reference, one for each part of the protocol, each found by the scenario that is about it.

import { explore } from '@pkslab/explore';
import { describe, expect, it } from 'vitest';
import { sabotageNames, scenarios } from '../src/index.ts';
import { pageTable } from './sabotages-page.ts';

/** Sabotage, the scenario that notices it, and the invariant that breaks. */
const ten: readonly (readonly [string, string, string])[] = [
  ['state-by-value', 'irq-in-section', 'I9'],
  ['nmi-uncovered', 'nmi-in-section', 'I3'],
  ['saved-not-preserved', 'nmi-in-section', 'I4'],
  ['switch-slow-path-only', 'yield-in-section', 'I2'],
  ['fork-copies-rights', 'fork-in-section', 'I11'],
  ['count-borrowed', 'handler-grants', 'I7'],
  ['access-gated-by-branch', 'attach-first', 'I16'],
  ['key-not-mapped', 'alias', 'I13'],
  ['kmap-hook-removed', 'irq-in-section', 'I16'],
  ['detach-unmaps-first', 'detach-under-io', 'I16'],
];

describe('a sabotage of reference', () => {
  it.each(ten)('%s is found by %s (%s)', (sabotage, name, invariant) => {
    const scenario = scenarios.find((one) => one.name === name);
    if (scenario === undefined) throw new Error(`no scenario ${name}`);
    expect(sabotageNames).toContain(sabotage);
    const found = explore(scenario, { sabotages: [sabotage] });
    expect(found).toMatchObject({ verdict: 'violated', invariant });
    expect(explore(scenario).verdict).toBe('holds');
  });
});

describe('docs/sabotages.md', () => {
  it('has a row for each, with what finds it', () => {
    const rows = pageTable()
      .slice(2)
      .map((line) => line.split('|').map((cell) => cell.trim()));
    expect(rows.map(([, name]) => name)).toEqual(sabotageNames.map((name) => `\`${name}\``));
    const names = scenarios.map(({ name }) => name);
    for (const [, name, finder] of rows) expect(names, name).toContain(finder);
  });
});
