// SPDX-License-Identifier: MIT
// What the demo prints at the end.

import {
  type ImageDifference,
  type PhaseResult,
  type StrayContext,
  type StrayCounts,
  strayContexts,
  sumStrays,
} from '@pkslab/selftests';
import type { PhaseOutcome } from './run.ts';

export interface DemoReport {
  readonly ok: boolean;
  readonly seed: number;
  readonly on: PhaseOutcome;
  readonly off: PhaseOutcome;
  /** Why it is not ok. */
  readonly problems: readonly string[];
}

const CONTEXT_NAMES: Readonly<Record<StrayContext, string>> = {
  interrupt: 'interrupt handler',
  nmi: 'NMI handler',
  otherTask: 'another task, same CPU',
  otherCpu: 'another task, other CPU',
  sameTask: 'the task with the window',
};

/** The JSON document, format 1: see docs/json.md. */
export function demoJson({ ok, seed, on, off }: DemoReport): string {
  const document = {
    ok,
    seed,
    protected: phaseJson(on.result),
    unprotected: phaseJson(off.result),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function phaseJson({ strays, transactions, integrityCheck, contentOk }: PhaseResult): object {
  const { attempted, stopped, insideWindow, reached } = sumStrays(strays);
  const counts = { attempted, stopped, insideWindow, reached };
  return { strays: counts, transactions, integrityCheck, contentOk };
}

/** The report in words and tables. */
export function demoReport(report: DemoReport): string {
  const { on, off, ok, problems, seed } = report;
  const lines = [
    '',
    'With protection keys',
    ...phaseLines(on),
    '',
    'Without (the same kernel and seed on a processor that has no PKS, on a copy of the image)',
    ...phaseLines(off),
    ...destroyedLines(off),
    '',
    ...problems.map((problem) => `FAILED: ${problem}`),
    ok
      ? `ok: ${sumStrays(on.result.strays).stopped} stray writes stopped, none reached the data; without keys ${off.result.landed.length} did`
      : `not ok; run it again with --seed ${seed} --keep`,
    '',
  ];
  return lines.join('\n');
}

function phaseLines({ result, difference, seconds }: PhaseOutcome): string[] {
  const { failedTransactions, rows, bytesWritten, integrityCheck, contentOk } = result;
  const failed = failedTransactions > 0 ? `, ${failedTransactions} failed` : '';
  const mib = (bytesWritten / 2 ** 20).toFixed(1);
  const key =
    result.pkey === 0 ? 'not protected: no protection key' : `protected with key ${result.pkey}`;
  return [
    `  pmem0 is ${key}`,
    ...strayTable(result.strays, result.protected),
    `  ${result.transactions} transactions${failed}, ${rows} rows, ${mib} MiB written, ${seconds.toFixed(1)} s`,
    `  PRAGMA integrity_check: ${integrityCheck}; every row as it should be: ${contentOk ? 'yes' : 'no'}`,
    `  ${imageLine(difference)}`,
    `  canary: ${result.canary.changed} of ${result.canary.size} bytes at offset ${result.canary.offset} were changed from inside windows; no data lives there`,
  ];
}

function imageLine({ compared, different, writes }: ImageDifference & { writes: number }): string {
  const what = different === 0 ? 'all as written' : `${different} are not as written`;
  return `image, rebuilt by another process from ${writes} logged writes: ${compared} bytes compared, ${what}`;
}

function strayTable(
  strays: Readonly<Record<StrayContext, Readonly<StrayCounts>>>,
  isProtected: boolean,
): string[] {
  // Without keys there are no windows: what is counted then is an access under way.
  const open = isProtected ? 'window open' : 'in an access';
  const head = ['stray writes by', 'attempted', open, 'stopped', 'in window', 'reached data'];
  const row = (name: string, counts: Readonly<StrayCounts>): string[] => [
    name,
    ...[
      counts.attempted,
      counts.whileOpen,
      counts.stopped,
      counts.insideWindow,
      counts.reached,
    ].map(String),
  ];
  const rows = [
    head,
    ...strayContexts.map((context) => row(CONTEXT_NAMES[context], strays[context])),
    row('all', sumStrays(strays)),
  ];
  const widths = head.map((_, i) => Math.max(...rows.map((cells) => cells[i]?.length ?? 0)));
  return rows.map((cells) => {
    const padded = cells.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
    );
    return `  ${padded.join('  ')}`;
  });
}

/** What stray writes did where nothing stopped them. */
function destroyedLines({ result, difference }: PhaseOutcome): string[] {
  const lines = [
    `  destroyed: ${difference.different} bytes, first at offsets ${difference.first.slice(0, 4).join(', ')}`,
  ];
  if (result.wrongReads > 0)
    lines.push(`  ${result.wrongReads} rows read back wrong, unnoticed by SQLite`);
  if (result.firstFailure !== null)
    lines.push(`  first failed transaction: ${result.firstFailure}`);
  return lines;
}

/** A plain store by a kernel thread, as dmesg shows it. */
export function oopsReport(lines: readonly string[]): string {
  if (lines.length === 0) return '';
  const text = lines.map((line) => `  | ${line}`).join('\n');
  return `a kernel thread stored with a plain instruction, and was killed; the machine ran on:\n${text}\n`;
}
