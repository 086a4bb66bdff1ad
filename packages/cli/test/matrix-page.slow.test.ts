// SPDX-License-Identifier: MIT
// docs/matrix.md: some rows searched again; all of them in matrix-page.long.test.ts.

import { scenarios } from '@pkslab/selftests';
import { describe, expect, it } from 'vitest';
import { wholeText } from '../src/explore/matrix-report.ts';
import { pageRows, searchRow } from './matrix-cells.ts';

/** One for each part of the protocol, none of which takes long. */
const some = [
  'irq-in-section',
  'nmi-in-section',
  'preempt-in-section',
  'fault-sleeps',
  'kmap-handover',
  'fork-in-section',
  'detach-last',
  'exec-in-section',
  'fresh-cpus',
  'xen-upcall',
  'two-keys',
  'kmap-beside-section',
  'dax-writeback',
  'commit-bio',
];

describe('docs/matrix.md', () => {
  const rows = pageRows();

  it('has a row for each scenario', () => {
    const names = scenarios.map(({ name }) => name);
    expect([...rows.keys()].filter((name) => names.includes(name))).toEqual(names);
  });

  it('says that reference holds everywhere', () => {
    for (const { name } of scenarios) expect(rows.get(name)?.[0], name).toBe('holds');
  });

  it.each(some)('has what is found: %s', async (name) => {
    expect((await searchRow(name)).map(wholeText)).toEqual(rows.get(name));
  });
});
