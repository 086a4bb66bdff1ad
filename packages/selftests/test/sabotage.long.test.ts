// SPDX-License-Identifier: MIT
// Every sabotage of the reference is found by the catalogue within its default budgets, as docs/sabotages.md has it.
// With PKSLAB_UPDATE_DOCS=1 that page is written anew.

import type { Exploration } from '@pkslab/explore';
import { expect, it } from 'vitest';
import { sabotageNames } from '../src/index.ts';
import { firstFind } from './sabotage-search.ts';
import { pageTable, tableOf, writeTable } from './sabotages-page.ts';

const finds = new Map<string, Exploration | null>();

it('there are at least 30', () => expect(sabotageNames.length).toBeGreaterThanOrEqual(30));

it.each(sabotageNames)('%s is found', (sabotage) => {
  const found = firstFind(sabotage);
  finds.set(sabotage, found);
  const what =
    found === null ? 'SURVIVES' : `${found.scenario}: ${found.invariant}, ${found.message}`;
  process.stdout.write(`${sabotage.padEnd(28)} ${what}\n`);
  expect(found).not.toBeNull();
});

it('docs/sabotages.md has what was found', () => {
  const table = tableOf(finds);
  if (process.env['PKSLAB_UPDATE_DOCS'] === '1') writeTable(table);
  else expect(pageTable()).toEqual(table);
});
