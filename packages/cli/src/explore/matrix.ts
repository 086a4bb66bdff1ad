// SPDX-License-Identifier: MIT
// Every scenario on every revision: a table that grows as the searches end.

import type { RevisionName } from '@pkslab/kernel';
import { searchBehind } from '@pkslab/selftests';
import { type Io, UsageError } from '../options.ts';
import { Progress } from '../progress.ts';
import type { Job } from './job.ts';
import type { Cell, MatrixRequest } from './matrix-cell.ts';
import {
  endText,
  matrixJson,
  matrixMarkdown,
  rowText,
  shortText,
  totalsOf,
  totalsText,
} from './matrix-report.ts';
import { exitStatus } from './report.ts';
import { atOnce, BROKEN_STATUS, RefusedError, type SearchThreads } from './search-threads.ts';

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
  const { scenario, options } = job;
  try {
    const searches = await searchBehind(
      (departure) => threads.search({ scenario, options: { ...options, ...departure } }, () => {}),
      options,
    );
    return { scenario, revision, searches, without: null, message: null };
  } catch (error) {
    const without = error instanceof RefusedError ? 'skipped' : 'failed';
    const [message = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    return { scenario, revision, searches: [], without, message };
  }
}

/** Gathers the cells, prints a row as soon as it is whole, and the rest at the end. */
class Matrix {
  readonly #cells: Cell[] = [];
  readonly #request: MatrixRequest;
  readonly #io: Io;
  readonly #started = performance.now();
  readonly #nameWidth: number;
  #rows = 0;
  readonly #progress: Progress;

  constructor(request: MatrixRequest, io: Io) {
    this.#request = request;
    this.#io = io;
    this.#progress = new Progress(io);
    this.#nameWidth = Math.max(8, ...request.scenarios.map((name) => name.length)) + 2;
    if (request.format === 'text')
      this.#print(rowText('scenario', request.revisions, this.#nameWidth));
  }

  add(cell: Cell): void {
    this.#cells.push(cell);
    if (this.#request.format === 'text') this.#printRows();
    const { scenarios, revisions } = this.#request;
    const all = scenarios.length * revisions.length;
    this.#progress.show(() => `${this.#cells.length} of ${all} cells done, ${this.#seconds} s`);
  }

  /** In the order of the catalogue, each row once it is whole. */
  #printRows(): void {
    const { scenarios, revisions } = this.#request;
    for (let name = scenarios[this.#rows]; name !== undefined; name = scenarios[this.#rows]) {
      const row = revisions.map((revision) => this.#find(name, revision));
      if (row.includes(undefined)) break;
      this.#rows++;
      const texts = row.map((cell) => shortText(cell as Cell));
      this.#print(rowText(name as string, texts, this.#nameWidth));
    }
  }

  end(): number {
    this.#progress.end();
    const { scenarios, revisions, format } = this.#request;
    const cells = scenarios.flatMap((name) =>
      revisions.flatMap((revision) => this.#find(name, revision) ?? []),
    );
    const [first] = cells;
    if (first !== undefined && cells.every(({ without }) => without === 'skipped')) {
      throw new UsageError(`no scenario takes this on any revision: ${first.message}`);
    }
    const missing = scenarios.length * revisions.length - cells.length;
    if (format === 'json') {
      this.#print(
        JSON.stringify(matrixJson(this.#request, cells, missing, this.#seconds), null, 2),
      );
    } else if (format === 'markdown') {
      this.#print(matrixMarkdown(revisions, cells));
    } else {
      const totals = revisions.map((name) => totalsText(totalsOf(name, cells)));
      this.#print(rowText('', totals, this.#nameWidth));
      this.#print(...endText(revisions, cells, missing));
    }
    if (cells.some(({ without }) => without === 'failed')) return BROKEN_STATUS;
    return exitStatus(cells.flatMap(({ searches }) => searches.slice(0, 1)));
  }

  #find(scenario: string | undefined, revision: RevisionName): Cell | undefined {
    return this.#cells.find((cell) => cell.scenario === scenario && cell.revision === revision);
  }

  #print(...lines: readonly string[]): void {
    this.#io.stdout(`${lines.join('\n')}\n`);
  }

  get #seconds(): number {
    return Math.round((performance.now() - this.#started) / 1000);
  }
}
