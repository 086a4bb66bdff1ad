// SPDX-License-Identifier: MIT
// All of docs/matrix.md. With PKSLAB_UPDATE_DOCS=1 it is written anew.

import { revisionNames } from '@pkslab/kernel';
import { scenarios } from '@pkslab/selftests';
import { expect, it } from 'vitest';
import { matrixMarkdown } from '../src/explore/matrix-report.ts';
import { pageTables, searchRow, writeTables } from './matrix-cells.ts';

it('docs/matrix.md has what the matrix finds', async () => {
  const cells = [];
  for (const { name } of scenarios) cells.push(...(await searchRow(name)));
  expect(cells.filter(({ searches }) => searches.at(-1)?.verdict === 'incomplete')).toEqual([]);
  const tables = matrixMarkdown(revisionNames, cells);
  if (process.env['PKSLAB_UPDATE_DOCS'] === '1') writeTables(tables);
  else expect(pageTables()).toBe(tables);
});
