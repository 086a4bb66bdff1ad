// SPDX-License-Identifier: MIT
// Each sabotage alone, over the scenarios until one finds it: does the checker check?

import type { Exploration } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import { isSabotaged } from '@pkslab/selftests';
import type { Io } from '../options.ts';
import { Progress } from '../progress.ts';
import type { Job } from './job.ts';
import { count } from './report.ts';
import { atOnce, RefusedError, type SearchThreads } from './search-threads.ts';

/** What is to be found, and where. */
export interface SabotageRequest {
  readonly scenarios: readonly string[];
  readonly sabotages: readonly string[];
  /** Of every search; its sabotages are replaced. */
  readonly options: Job['options'] & RevisionRequest;
  readonly json: boolean;
}

interface Found {
  readonly sabotage: string;
  /** `unchanged`: the revision is so anyway. */
  readonly status: 'found' | 'survived' | 'unchanged';
  /** The search that found it; null if none did. */
  readonly by: Exploration | null;
  /** Scenarios that were searched. */
  readonly searched: number;
  /** Of those, the ones whose search did not finish. */
  readonly incomplete: readonly string[];
  /** Scenarios that do not load what the sabotage breaks. */
  readonly skipped: number;
  /** Scenarios that are violated without it too, and so say nothing of it. */
  readonly violatedAnyway: readonly string[];
  readonly seconds: number;
}

/** Runs the searches and prints a line for each sabotage; 0 if every one was found that changes anything, else 1. */
export async function runSabotages(
  request: SabotageRequest,
  threads: SearchThreads,
  stopped: () => boolean,
  io: Io,
): Promise<number> {
  const { sabotages, json } = request;
  const hunt = new Hunt(request, threads, stopped);
  const progress = new Progress(io);
  const results: Found[] = [];
  await atOnce(sabotages, async (sabotage) => {
    const result = await hunt.find(sabotage);
    if (result === null) return;
    results.push(result);
    if (!json) io.stdout(`${foundText(result)}\n`);
    progress.show(() => `${results.length} of ${sabotages.length} sabotages done`);
  });
  progress.end();
  const missing = sabotages.length - results.length;
  const found = results.filter(({ status }) => status === 'found').length;
  const survived = results.filter(({ status }) => status === 'survived').length;
  if (json) {
    results.sort((a, b) => sabotages.indexOf(a.sabotage) - sabotages.indexOf(b.sabotage));
    const sums = { found, survived, missing, sabotages: sabotages.length };
    io.stdout(`${JSON.stringify({ ...sums, results: results.map(toJson) }, null, 2)}\n`);
  } else {
    const cut = missing === 0 ? '' : `, ${missing} not searched to the end`;
    io.stdout(`${found} of ${count(sabotages.length, 'sabotage')} found, ${survived} not${cut}\n`);
  }
  return survived === 0 && missing === 0 ? 0 : 1;
}

class Hunt {
  readonly #request: SabotageRequest;
  readonly #threads: SearchThreads;
  readonly #stopped: () => boolean;
  /** What each scenario says without sabotage; asked once. */
  readonly #unbroken = new Map<string, Promise<Exploration | null>>();

  constructor(request: SabotageRequest, threads: SearchThreads, stopped: () => boolean) {
    this.#request = request;
    this.#threads = threads;
    this.#stopped = stopped;
  }

  /** Null where it was stopped before there was a verdict. */
  async find(sabotage: string): Promise<Found | null> {
    const started = performance.now();
    const { scenarios, options } = this.#request;
    const incomplete: string[] = [];
    const violatedAnyway: string[] = [];
    let [searched, skipped] = [0, 0];
    let by: Exploration | null = null;
    const changes = isSabotaged(sabotage, options);
    for (const scenario of changes ? scenarios : []) {
      if (this.#stopped()) return null;
      const result = await this.#search(scenario, [sabotage]);
      if (result === null) skipped++;
      else searched++;
      if (result?.verdict === 'incomplete') incomplete.push(scenario);
      if (result?.verdict !== 'violated') continue;
      // Asked only here: most scenarios hold without it.
      if ((await this.#withoutSabotage(scenario))?.verdict === 'violated') {
        violatedAnyway.push(scenario);
        continue;
      }
      by = result;
      break;
    }
    if (this.#stopped() && by === null) return null;
    const verdict = by === null ? 'survived' : 'found';
    const seconds = (performance.now() - started) / 1000;
    const counts = { searched, incomplete, skipped, violatedAnyway, seconds };
    return { sabotage, status: changes ? verdict : 'unchanged', by, ...counts };
  }

  #withoutSabotage(scenario: string): Promise<Exploration | null> {
    const asked = this.#unbroken.get(scenario) ?? this.#search(scenario, []);
    this.#unbroken.set(scenario, asked);
    return asked;
  }

  /** Null where the scenario's modules do not know the sabotage. */
  async #search(scenario: string, sabotages: readonly string[]): Promise<Exploration | null> {
    const options = { ...this.#request.options, sabotages, candidates: [] };
    try {
      return await this.#threads.search({ scenario, options }, () => {});
    } catch (error) {
      if (error instanceof RefusedError) return null;
      throw error;
    }
  }
}

function foundText(result: Found): string {
  const { sabotage, status, by, searched, incomplete, skipped, violatedAnyway, seconds } = result;
  if (by !== null) {
    const { scenario, invariant, events } = by;
    const size = `${count(events, 'event')}, ${seconds.toFixed(1)} s`;
    return `${sabotage}: found by ${scenario} (${invariant}, ${size})`;
  }
  if (status === 'unchanged') return `${sabotage}: changes nothing, the kernel is so anyway`;
  const unfinished = incomplete.length === 0 ? '' : `, not finished: ${incomplete.join(', ')}`;
  const anyway =
    violatedAnyway.length === 0 ? '' : `, violated without it too: ${violatedAnyway.join(', ')}`;
  return `${sabotage}: NOT FOUND in ${count(searched, 'scenario')} (${skipped} do not load it${unfinished}${anyway})`;
}

function toJson({ by, ...result }: Found): object {
  const { scenario = null, invariant = null, message = null, events = null } = by ?? {};
  return { ...result, found: by !== null, scenario, invariant, message, events };
}
