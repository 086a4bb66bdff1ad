// SPDX-License-Identifier: MIT
// What pkslab explore --matrix prints: a table as text or Markdown, each defect once behind it; or JSON.

import type { RevisionName } from '@pkslab/kernel';
import { defectName, type ShownDefect, shownDefects, violationText } from '@pkslab/selftests';
import type { Cell, MatrixRequest } from './matrix-cell.ts';
import { count, toJson } from './report.ts';

const COLUMN_WIDTH = 24;

/** A line of the table. */
export function rowText(name: string, cells: readonly string[], nameWidth: number): string {
  const padded = cells.map((text) => `${text} `.padEnd(COLUMN_WIDTH));
  return `${name.padEnd(nameWidth)}${padded.join('')}`.trimEnd();
}

/** `holds`, `incomplete`, or the first violation and how many more stand behind it. */
export function shortText(cell: Cell): string {
  const [first] = cell.searches;
  if (first?.verdict !== 'violated') return verdictOf(cell);
  const more = violations(cell).length - 1;
  const unfinished = cell.searches.at(-1)?.verdict === 'incomplete' ? ' incomplete' : '';
  return `${violationText(first)}${more === 0 ? '' : ` +${more}`}${unfinished}`;
}

/** All of it: each violation with those before it repaired, and an end that is not `holds`. */
export function wholeText(cell: Cell): string {
  const found = violations(cell).map((result) =>
    result.events === 0 ? violationText(result) : `${violationText(result)} (${result.events})`,
  );
  if (found.length === 0) return verdictOf(cell);
  const unfinished = cell.searches.at(-1)?.verdict === 'incomplete' ? ['incomplete'] : [];
  return [...found, ...unfinished].join(', ');
}

function violations({ searches }: Cell): Cell['searches'] {
  return searches.filter(({ verdict }) => verdict === 'violated');
}

/** What the search of the revision as it is says. */
function verdictOf({ searches, without }: Cell): string {
  return searches[0]?.verdict ?? (without as string);
}

interface Totals {
  readonly holds: number;
  readonly violated: number;
  readonly incomplete: number;
  readonly skipped: number;
  readonly failed: number;
}

export function totalsOf(revision: RevisionName, cells: readonly Cell[]): Totals {
  const verdicts = cells.filter((cell) => cell.revision === revision).map(verdictOf);
  const of = (verdict: string): number => verdicts.filter((one) => one === verdict).length;
  return {
    holds: of('holds'),
    violated: of('violated'),
    incomplete: of('incomplete'),
    skipped: of('skipped'),
    failed: of('failed'),
  };
}

export function totalsText({ holds, violated, incomplete }: Totals): string {
  return `${holds}+${violated}+${incomplete}`;
}

/** What stands under the table. */
export function endText(
  revisions: readonly RevisionName[],
  cells: readonly Cell[],
  missing: number,
): string[] {
  const lines = [
    '',
    'holds+violated+incomplete of each revision; +N: so many more stand behind it',
  ];
  if (missing > 0) lines.push(`${missing} cells were not searched`);
  for (const defect of defectsOf(revisions, cells)) lines.push('', ...defectText(defect));
  const without = cells.filter(({ message }) => message !== null);
  if (without.length > 0) lines.push('');
  for (const { revision, scenario, without: why, message } of without) {
    lines.push(`${revision} ${scenario}: ${why}: ${message}`);
  }
  return lines;
}

/** Each defect once, by revision. */
function defectsOf(revisions: readonly RevisionName[], cells: readonly Cell[]): ShownDefect[] {
  const all = shownDefects(cells.flatMap(({ searches }) => searches));
  return revisions.flatMap((name) => all.filter(({ revision }) => revision === name));
}

function defectText({ revision, repair, invariants, scenarios, example }: ShownDefect): string[] {
  const { scenario, invariant, message, events, operations } = example;
  const size = `${count(events, 'event')}, ${count(operations, 'operation')}`;
  return [
    `${revision} ${repair}: ${nameOf(repair)} (${invariants.join(', ')})`,
    `  ${commandOf(example)}`,
    `  ${invariant}: ${message} (${size})`,
    ...(scenarios.length === 1
      ? []
      : [`  also: ${scenarios.filter((name) => name !== scenario).join(', ')}`]),
  ];
}

function nameOf(repair: string): string {
  if (repair === '?') return 'nothing that was tried ends it';
  const names = repair.split('+').map((one) => defectName(one) ?? 'as reference has it');
  return names.join('; ');
}

/** The command that shows a search. */
function commandOf({ scenario, revision, repairs, with: choices }: ShownDefect['example']): string {
  const pairs = Object.entries(choices).map(([name, value]) => `${name}=${value}`);
  const parts = ['pkslab explore', scenario, '--revision', revision];
  if (repairs.length > 0) parts.push('--repair', repairs.join(','));
  if (pairs.length > 0) parts.push('--with', pairs.join(','));
  return parts.join(' ');
}

/** The table and the defects as Markdown, as docs/matrix.md has them. */
export function matrixMarkdown(revisions: readonly RevisionName[], cells: readonly Cell[]): string {
  const scenarios = [...new Set(cells.map(({ scenario }) => scenario))];
  const rows = scenarios.map((name) => [
    name,
    ...cells.filter(({ scenario }) => scenario === name).map(wholeText),
  ]);
  const totals = revisions.map((name) => totalsText(totalsOf(name, cells)));
  const defects = defectsOf(revisions, cells).map((defect) => [
    defect.revision,
    link(defect.repair),
    nameOf(defect.repair),
    defect.invariants.join(', '),
    String(defect.scenarios.length),
    `\`${commandOf(defect.example)}\``,
  ]);
  return [
    table(['scenario', ...revisions], [...rows, ['holds+violated+incomplete', ...totals]]),
    table(['revision', 'repair', 'defect', 'breaks', 'scenarios', 'shown by'], defects),
  ].join('\n\n');
}

/** What no reviewer reported is explained on a page of its own. */
function link(repair: string): string {
  const isFinding = defectName(repair) !== null && !repair.startsWith('D-');
  return isFinding ? `[${repair}](findings.md)` : repair;
}

/** A table as the formatter of the repository has it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((text, i) =>
    Math.max(3, text.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((text, i) => text.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

/** The document of `--json`. */
export function matrixJson(
  { revisions, scenarios }: MatrixRequest,
  cells: readonly Cell[],
  missing: number,
  seconds: number,
): object {
  const totals = Object.fromEntries(revisions.map((name) => [name, totalsOf(name, cells)]));
  return { revisions, scenarios, totals, missing, seconds, cells: cells.map(cellJson) };
}

function cellJson({ scenario, revision, searches, without, message }: Cell): object {
  const [first, ...behind] = searches;
  if (first === undefined) return { scenario, revision, verdict: without, message };
  return { ...toJson(first), behind: behind.map(toJson) };
}
