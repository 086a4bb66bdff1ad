// SPDX-License-Identifier: MIT
// Runs conformance vectors through the machine and reports, suite by suite.

import { agrees, Replayer } from './replay.ts';
import { vectorCase } from './vector-case.ts';
import type { VectorCase } from './vector-state.ts';
import { ANY_FLAGS, type VectorSuite } from './vectors.ts';

/** How often an emulator's answer deviated from the expected one, by class. */
export interface ClassCount {
  readonly name: string;
  qemu: number;
  bochs: number;
}

/** A case in which the machine disagrees. */
export interface ConformanceFailure {
  readonly index: number;
  readonly case: VectorCase;
  readonly expected: { readonly outcome: number; readonly flags: number };
  readonly got: { readonly outcome: number; readonly flags: number };
}

/** What came of a suite. */
export interface SuiteResult {
  readonly suite: string;
  readonly paging: string;
  readonly cases: number;
  readonly agree: number;
  readonly disagree: number;
  readonly byClass: ReadonlyMap<number, ClassCount>;
  readonly first: ConformanceFailure | null;
}

/**
 * Replays every case of a suite on the machine.
 *
 * `agree` and `disagree` compare this package with the expected answer; `byClass` counts the emulators' deviations
 * from it, never ours.
 */
export function runSuite(suite: VectorSuite): SuiteResult {
  const replayer = new Replayer(suite);
  let disagree = 0;
  let first: ConformanceFailure | null = null;
  for (let index = 0; index < suite.cases; index++) {
    const result = replayer.run(index);
    if (agrees(suite, index, result)) continue;
    disagree++;
    first ??= {
      index,
      case: vectorCase(suite, index),
      expected: {
        outcome: suite.records[index * 3] as number,
        flags: suite.records[index * 3 + 1] as number,
      },
      got: { ...result },
    };
  }
  const { suite: name, paging, cases } = suite;
  const byClass = countClasses(suite);
  return { suite: name, paging, cases, agree: cases - disagree, disagree, byClass, first };
}

/** Replays suites one after the other. */
export function runConformance(suites: readonly VectorSuite[]): SuiteResult[] {
  return suites.map((suite) => runSuite(suite));
}

function countClasses({ records, classes }: VectorSuite): Map<number, ClassCount> {
  const counts = new Map<number, ClassCount>();
  const count = (number: number): ClassCount => {
    let found = counts.get(number);
    if (found === undefined) {
      found = { name: classes.get(number) ?? '', qemu: 0, bochs: 0 };
      counts.set(number, found);
    }
    return found;
  };
  for (let at = 2; at < records.length; at += 3) {
    const deviation = records[at] as number;
    if (deviation === 0) continue;
    if ((deviation & 0xf) !== 0) count(deviation & 0xf).qemu++;
    if (deviation >>> 4 !== 0) count(deviation >>> 4).bochs++;
  }
  return counts;
}

/** The document that `pkslab conformance --json` prints. */
export interface ConformanceReport {
  readonly ok: boolean;
  readonly suites: readonly {
    readonly suite: string;
    readonly paging: string;
    readonly cases: number;
    readonly agree: number;
    readonly disagree: number;
    readonly byClass: Readonly<Record<string, { readonly qemu: number; readonly bochs: number }>>;
  }[];
}

/** Results as the document that `--json` prints. */
export function conformanceReport(results: readonly SuiteResult[]): ConformanceReport {
  return {
    ok: results.every(({ disagree }) => disagree === 0),
    suites: results.map(({ suite, paging, cases, agree, disagree, byClass }) => ({
      suite,
      paging,
      cases,
      agree,
      disagree,
      byClass: Object.fromEntries(
        [...byClass]
          .sort(([a], [b]) => a - b)
          .map(([number, { qemu, bochs }]) => [number, { qemu, bochs }]),
      ),
    })),
  };
}

/** Results as a table, the first failing case of each suite in full. */
export function formatConformance(results: readonly SuiteResult[]): string {
  const lines = results.map(
    ({ paging, suite, cases, agree, disagree }) =>
      `${paging}  ${suite.padEnd(10)} ${String(cases).padStart(8)} cases  ${String(agree).padStart(8)} agree  ${disagree} disagree`,
  );
  for (const { suite, paging, first } of results) {
    if (first !== null)
      lines.push('', `${paging} ${suite}, case ${first.index}:`, ...describe(first));
  }
  return `${lines.join('\n')}\n`;
}

function describe({ case: test, expected, got }: ConformanceFailure): string[] {
  const { registers, entries, secondLeaf, access } = test;
  const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;
  const entry = ({ high, low }: { high: number; low: number }): string =>
    `${(high >>> 0).toString(16).padStart(8, '0')}${(low >>> 0).toString(16).padStart(8, '0')}`;
  const answer = ({ outcome, flags }: { outcome: number; flags: number }): string => {
    const more = flags === ANY_FLAGS ? 'any flags' : `flags ${hex(flags)}`;
    return `${describeOutcome(outcome)}, ${more}`;
  };
  return [
    `  registers  CR0 ${hex(registers.cr0)}  CR4 ${hex(registers.cr4)}  EFER ${hex(registers.efer)}  AC ${registers.ac ? 1 : 0}  PKRU ${hex(registers.pkru)}  PKRS ${hex(registers.pkrs)}  MAXPHYADDR ${test.maxphyaddr}`,
    ...entries.map((found) => `  level ${found.level}    ${entry(found)}`),
    ...(secondLeaf === null ? [] : [`  next leaf  ${entry(secondLeaf)}`]),
    `  access     ${access.name}`,
    `  expected   ${answer(expected)}`,
    `  got        ${answer(got)}`,
  ];
}

/** Byte 0 of a record in words. */
export function describeOutcome(outcome: number): string {
  if (outcome === 0) return 'done';
  return outcome >= 0x80 ? '#GP' : `#PF error code 0x${(outcome - 0x40).toString(16)}`;
}
