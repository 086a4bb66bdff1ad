// SPDX-License-Identifier: MIT
// Cells of the matrix, searched here; and the page that has all of them.

import { readFileSync, writeFileSync } from 'node:fs';
import { explore } from '@pkslab/explore';
import { type RevisionName, revisionNames } from '@pkslab/kernel';
import { scenarios, searchBehind } from '@pkslab/selftests';
import type { Cell } from '../src/explore/matrix-cell.ts';

const path = new URL('../../../docs/matrix.md', import.meta.url);
const TABLES =
  /(<!-- pkslab: explore --matrix --format markdown -->\n\n)([\s\S]*?)(\n\n<!-- end -->)/;

/** The tables of docs/matrix.md. */
export function pageTables(): string {
  return TABLES.exec(readFileSync(path, 'utf8'))?.[2] ?? '';
}

export function writeTables(tables: string): void {
  const text = readFileSync(path, 'utf8');
  writeFileSync(
    path,
    text.replace(TABLES, (_, head: string, __, end: string) => head + tables + end),
  );
}

/** The rows of the first table: the cells by scenario. */
export function pageRows(): ReadonlyMap<string, readonly string[]> {
  const [first = ''] = pageTables().split('\n\n');
  const rows = first.split('\n').map((line) => line.slice(2, -2).split('|'));
  return new Map(
    rows.map(([name = '', ...cells]) => [name.trim(), cells.map((cell) => cell.trim())]),
  );
}

/** A row of the matrix, as `pkslab explore --matrix` searches it. */
export function searchRow(name: string): Promise<Cell[]> {
  return Promise.all(revisionNames.map((revision) => searchCell(name, revision)));
}

async function searchCell(name: string, revision: RevisionName): Promise<Cell> {
  const scenario = scenarios.find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  const searches = await searchBehind(async (departure) =>
    explore(scenario, { revision, ...departure }),
  );
  return { scenario: name, revision, searches, without: null, message: null };
}
