// SPDX-License-Identifier: MIT
// What `pkslab selftests` writes while it runs and when it is done: KTAP or JSON, and JUnit beside it.

import { writeFileSync } from 'node:fs';
import type { SabotageResult, TestResult } from '@pkslab/selftests';
import { type JunitCase, junitXml } from './junit.ts';
import { ktapDiagnostic, ktapHeader, ktapPoint, type TestPoint } from './ktap.ts';
import { CommandError, type Io } from './options.ts';

export interface ReportOptions {
  readonly json: boolean;
  readonly junit: string | undefined;
}

/** Test points, written as they come. */
export class SelftestReport {
  readonly #io: Io;
  readonly #options: ReportOptions;
  readonly #cases: JunitCase[] = [];
  #failed = 0;

  constructor(io: Io, options: ReportOptions) {
    this.#io = io;
    this.#options = options;
  }

  start(count: number): void {
    this.#write(ktapHeader(count));
  }

  /** A comment between test points. */
  note(text: string): void {
    this.#write(ktapDiagnostic(text));
  }

  point(point: TestPoint, className: string, seconds: number): void {
    const { name, status, reason = '', diagnostics = [] } = point;
    this.#write(ktapPoint(this.#cases.length + 1, point));
    const base = { name, className, seconds };
    if (status === 'ok') this.#cases.push(base);
    else if (status === 'skip') this.#cases.push({ ...base, skipped: reason });
    else this.#cases.push({ ...base, failure: diagnostics.join('\n') });
    if (status === 'not ok') this.#failed++;
  }

  /** Writes the documents and gives the exit status. */
  end(document: object): number {
    if (this.#options.json) this.#io.stdout(`${JSON.stringify(document, null, 2)}\n`);
    const { junit } = this.#options;
    if (junit !== undefined) writeDocument(junit, junitXml('pkslab selftests', this.#cases));
    return this.#failed > 0 ? 1 : 0;
  }

  #write(text: string): void {
    if (!this.#options.json) this.#io.stdout(text);
  }
}

function writeDocument(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new CommandError(`--junit ${file}: ${error instanceof Error ? error.message : error}`);
  }
}

/** A test's own point. */
export function testPoint({ name, sentence, status, details }: TestResult): TestPoint {
  if (status === 'passed') return { name, status: 'ok' };
  if (status === 'skipped') return { name, status: 'skip', reason: details.join('; ') };
  return { name, status: 'not ok', diagnostics: [`${name}: ${sentence}`, ...details] };
}

/** What the sabotages were tried on. */
export interface SabotageRun {
  readonly revision: string;
  /** Origins of the tests that were of use. */
  readonly origins: readonly TestResult['origin'][];
}

/** A sabotage's point: ok if a test noticed; which ones did, and whether a posted one is among them. */
export function sabotagePoint(result: SabotageResult, run: SabotageRun): TestPoint {
  const { sabotage: name, status } = result;
  if (status === 'unchanged')
    return { name, status: 'skip', reason: `${run.revision} is so anyway` };
  if (status === 'survived') {
    return { name, status: 'not ok', diagnostics: [`survived: ${name}, no test notices it`] };
  }
  const diagnostics = ORIGINS.filter(({ origin }) => run.origins.includes(origin)).map(
    ({ origin, tests }) => {
      const names = namesOf(result, origin);
      return names === '' ? `survived ${tests}: ${name}` : `caught by ${tests}: ${names}`;
    },
  );
  return { name, status: 'ok', diagnostics };
}

const ORIGINS = [
  { origin: 'posted', tests: 'the posted tests' },
  { origin: 'ours', tests: 'our tests' },
] as const;

function namesOf(result: SabotageResult, origin: TestResult['origin']): string {
  const tests = result.caughtBy.filter((test) => test.origin === origin);
  return tests.map(({ name }) => name).join(', ');
}
