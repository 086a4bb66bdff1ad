// SPDX-License-Identifier: MIT
// The table of docs/sabotages.md: which scenario finds each sabotage first.

import { readFileSync, writeFileSync } from 'node:fs';
import type { Exploration } from '@pkslab/explore';

const path = new URL('../../../docs/sabotages.md', import.meta.url);
const TABLE = /(<!-- sabotages: what finds each -->\n\n)([\s\S]*?)(\n<!-- end -->)/;

/** The lines of the page's table, its head included. */
export function pageTable(): readonly string[] {
  const [, , table = ''] = TABLE.exec(readFileSync(path, 'utf8')) ?? [];
  return table.split('\n').filter((line) => line !== '');
}

export function writeTable(lines: readonly string[]): void {
  const text = readFileSync(path, 'utf8');
  if (!TABLE.test(text)) throw new Error('docs/sabotages.md has no place for the table');
  const body = `${lines.join('\n')}\n`;
  writeFileSync(
    path,
    text.replace(TABLE, (_, head: string, __, end: string) => head + body + end),
  );
}

/** The table in Markdown, columns aligned; without a find the row says so. */
export function tableOf(found: ReadonlyMap<string, Exploration | null>): readonly string[] {
  const rows = [...found].map(([name, one]) =>
    one === null
      ? [`\`${name}\``, 'nothing', '', '', '']
      : [`\`${name}\``, one.scenario, one.invariant ?? '', String(one.events), one.message ?? ''],
  );
  const head = ['sabotage', 'found by', 'breaks', 'events', 'what the search says'];
  const widths = head.map((_, i) =>
    Math.max(...[head, ...rows].map((row) => (row[i] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, i) => text.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)];
}
