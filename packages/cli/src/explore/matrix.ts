// SPDX-License-Identifier: MIT
// Every scenario on every revision: a table that grows as the searches end.

import type { Exploration } from '@pkslab/explore';
import type { RevisionName } from '@pkslab/kernel';
import type { Io } from '../options.ts';
import type { Job } from './job.ts';
import { exitStatus, toJson } from './report.ts';
import { atOnce, RefusedError, type SearchThreads } from './search-threads.ts';

/** What a matrix is made of. */
export interface MatrixRequest {
  readonly scenarios: readonly string[];
  readonly revisions: readonly RevisionName[];
  /** Of every search; its revision is replaced. */
  readonly options: Job['options'];
  readonly json: boolean;
}

/** One search: what it found, or why there is nothing. */
interface Cell {
  readonly scenario: string;
  readonly revision: RevisionName;
  readonly result: Exploration | null;
  /** `skipped` where the scenario does not take the request, `failed` where the search broke off. */
  readonly without: 'skipped' | 'failed' | null;
  readonly message: string | null;
}

const COLUMN_WIDTH = 22;

/** Runs the searches and prints the table; the status to exit with. */
export async function runMatrix(
  request: MatrixRequest,
  threads: SearchThreads,
  stopped: () => boolean,
  io: Io,
): Promise<number> {
  const matrix = new Matrix(request, io);
  const jobs = request.scenarios.flatMap((scenario) =>
    request.revisions.map((revision) => ({ scenario, revision })),
  );
  await atOnce(jobs, async ({ scenario, revision }) => {
    if (stopped()) return;
    const options = { ...request.options, revision };
    matrix.add(await cellOf(threads, { scenario, options }, revision));
  });
  return matrix.end();
}

async function cellOf(threads: SearchThreads, job: Job, revision: RevisionName): Promise<Cell> {
  const { scenario } = job;
  try {
    const result = await threads.search(job, () => {});
    return { scenario, revision, result, without: null, message: result.message };
  } catch (error) {
    const without = error instanceof RefusedError ? 'skipped' : 'failed';
    const [message = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    return { scenario, revision, result: null, without, message };
  }
}

class Matrix {
  readonly #cells: Cell[] = [];
  readonly #request: MatrixRequest;
  readonly #io: Io;
  readonly #started = performance.now();
  readonly #nameWidth: number;
  #rows = 0;
  /** Seconds at the last word on stderr. */
  #shown = 0;

  constructor(request: MatrixRequest, io: Io) {
    this.#request = request;
    this.#io = io;
    this.#nameWidth = Math.max(8, ...request.scenarios.map((name) => name.length)) + 2;
    this.#print(this.#row('scenario', request.revisions));
  }

  add(cell: Cell): void {
    this.#cells.push(cell);
    const { scenarios, revisions } = this.#request;
    // In the order of the catalogue, each row once it is whole.
    for (;;) {
      const name = scenarios[this.#rows];
      const row = revisions.map((revision) => this.#find(name, revision));
      if (name === undefined || row.includes(undefined)) break;
      this.#rows++;
      this.#print(
        this.#row(
          name,
          row.map((found) => cellText(found as Cell)),
        ),
      );
    }
    if (this.#seconds === this.#shown) return;
    this.#shown = this.#seconds;
    const all = scenarios.length * revisions.length;
    this.#io.stderr(`\r${this.#cells.length} of ${all} searches done, ${this.#seconds} s `);
  }

  end(): number {
    if (this.#shown > 0) this.#io.stderr('\n');
    const { scenarios, revisions, json } = this.#request;
    const results = this.#cells.flatMap(({ result }) => (result === null ? [] : [result]));
    const totals = Object.fromEntries(revisions.map((name) => [name, this.#totals(name)]));
    const missing = scenarios.length * revisions.length - this.#cells.length;
    if (json) {
      const cells = this.#cells.map(cellJson);
      const document = { revisions, scenarios, totals, missing, seconds: this.#seconds, cells };
      this.#io.stdout(`${JSON.stringify(document, null, 2)}\n`);
    } else {
      this.#printEnd(totals, missing);
    }
    if (this.#cells.some(({ without }) => without === 'failed')) return 1;
    return exitStatus(results);
  }

  #printEnd(totals: Readonly<Record<string, Totals>>, missing: number): void {
    const sums = this.#request.revisions.map((name) => totalsText(totals[name] as Totals));
    this.#print(this.#row('', sums));
    if (missing > 0) this.#print(`${missing} searches were not made`);
    this.#print(
      '',
      'holds+violated+incomplete of each revision. What was violated, and what repairs it:',
    );
    const byRevision = this.#request.revisions.flatMap((revision) =>
      this.#request.scenarios.map((name) => this.#find(name, revision)),
    );
    for (const cell of byRevision) {
      if (cell?.result?.verdict === 'violated') this.#print(violatedText(cell.result));
      else if (cell?.without === 'failed' || cell?.without === 'skipped') {
        this.#print(`${cell.revision} ${cell.scenario}: ${cell.without}: ${cell.message}`);
      }
    }
  }

  #find(scenario: string | undefined, revision: RevisionName): Cell | undefined {
    return this.#cells.find((cell) => cell.scenario === scenario && cell.revision === revision);
  }

  #totals(revision: RevisionName): Totals {
    const verdicts = this.#cells.filter((cell) => cell.revision === revision).map(verdictOf);
    const count = (verdict: string): number => verdicts.filter((one) => one === verdict).length;
    return {
      holds: count('holds'),
      violated: count('violated'),
      incomplete: count('incomplete'),
      skipped: count('skipped'),
      failed: count('failed'),
    };
  }

  #row(name: string, cells: readonly string[]): string {
    const padded = cells.map((text) => `${text} `.padEnd(COLUMN_WIDTH));
    return `${name.padEnd(this.#nameWidth)}${padded.join('')}`.trimEnd();
  }

  #print(...lines: readonly string[]): void {
    if (!this.#request.json) this.#io.stdout(`${lines.join('\n')}\n`);
  }

  get #seconds(): number {
    return Math.round((performance.now() - this.#started) / 1000);
  }
}

interface Totals {
  readonly holds: number;
  readonly violated: number;
  readonly incomplete: number;
  readonly skipped: number;
  readonly failed: number;
}

function totalsText({ holds, violated, incomplete }: Totals): string {
  return `${holds}+${violated}+${incomplete}`;
}

function verdictOf({ result, without }: Cell): string {
  return result?.verdict ?? (without as string);
}

/** `holds`, `incomplete`, or the invariant and what repairs it. */
function cellText(cell: Cell): string {
  const { result } = cell;
  if (result?.verdict !== 'violated') return verdictOf(cell);
  return `${result.invariant} ${repairText(result)}`.trimEnd();
}

/** What has to change, without the values of choices; nothing where nothing that was tried helps. */
function repairText({ explanation }: Exploration): string {
  const { changes = [], complete = true } = explanation?.attribution ?? {};
  const names = changes.map((change) => change.replace(/=.*/, '')).join('+');
  return complete ? names : `${names}+?`;
}

function violatedText(result: Exploration): string {
  const { revision, scenario, invariant, message, events, operations, explanation } = result;
  const changes = explanation?.attribution?.changes.join(' and ') ?? 'nothing that was tried';
  const size = `${events} events, ${operations} operations`;
  return `${revision} ${scenario}: ${invariant}: ${message} (${size}; ${changes})`;
}

function cellJson({ scenario, revision, result, without, message }: Cell): object {
  return result === null ? { scenario, revision, verdict: without, message } : toJson(result);
}
