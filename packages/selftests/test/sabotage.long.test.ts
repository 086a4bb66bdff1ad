// SPDX-License-Identifier: MIT
// Every sabotage of the reference is found by the catalogue within its default budgets.

import { expect, it } from 'vitest';
import { sabotageNames } from '../src/index.ts';
import { firstFind } from './sabotage-search.ts';

it('there are at least 30', () => expect(sabotageNames.length).toBeGreaterThanOrEqual(30));

it.each(sabotageNames)('%s is found', (sabotage) => {
  const found = firstFind(sabotage);
  const what =
    found === null ? 'SURVIVES' : `${found.scenario}: ${found.invariant}, ${found.message}`;
  process.stdout.write(`${sabotage.padEnd(28)} ${what}\n`);
  expect(found).not.toBeNull();
});
