// SPDX-License-Identifier: MIT
// Each sabotage alone, over the scenarios until one finds it: does the checker check?

import type { Exploration } from '@pkslab/explore';
import type { Io } from '../options.ts';
import type { Job } from './job.ts';
import { count } from './report.ts';
import { atOnce, RefusedError, type SearchThreads } from './search-threads.ts';

/** What is to be found, and where. */
export interface SabotageRequest {
  readonly scenarios: readonly string[];
  readonly sabotages: readonly string[];
  /** Of every search; its sabotages are replaced. */
  readonly options: Job['options'];
  readonly json: boolean;
}

interface Found {
  readonly sabotage: string;
  /** The search that found it; null if none did. */
  readonly by: Exploration | null;
  /** Scenarios that were searched. */
  readonly searched: number;
  /** Of those, the ones whose search did not finish. */
  readonly incomplete: readonly string[];
  /** Scenarios that do not load what the sabotage breaks. */
  readonly skipped: number;
  readonly seconds: number;
}

/** Runs the searches and prints a line for each sabotage; 0 if every one was found, else 1. */
export async function runSabotages(
  request: SabotageRequest,
  threads: SearchThreads,
  stopped: () => boolean,
  io: Io,
): Promise<number> {
  const results: Found[] = [];
  await atOnce(request.sabotages, async (sabotage) => {
    if (stopped()) return;
    const result = await find(request, sabotage, threads, stopped);
    results.push(result);
    if (!request.json) io.stdout(`${foundText(result)}\n`);
    io.stderr(`\r${results.length} of ${request.sabotages.length} sabotages done `);
  });
  io.stderr('\n');
  const found = results.filter(({ by }) => by !== null).length;
  if (request.json) {
    const { sabotages } = request;
    results.sort((a, b) => sabotages.indexOf(a.sabotage) - sabotages.indexOf(b.sabotage));
    const document = { found, sabotages: sabotages.length, results: results.map(toJson) };
    io.stdout(`${JSON.stringify(document, null, 2)}\n`);
  } else {
    io.stdout(`${found} of ${count(request.sabotages.length, 'sabotage')} found\n`);
  }
  return found === request.sabotages.length ? 0 : 1;
}

async function find(
  { scenarios, options }: SabotageRequest,
  sabotage: string,
  threads: SearchThreads,
  stopped: () => boolean,
): Promise<Found> {
  const started = performance.now();
  const incomplete: string[] = [];
  let searched = 0;
  let skipped = 0;
  let by: Exploration | null = null;
  for (const scenario of scenarios) {
    if (stopped()) break;
    const job = { scenario, options: { ...options, sabotages: [sabotage], candidates: [] } };
    const result = await searchUnlessRefused(threads, job);
    if (result === null) skipped++;
    else searched++;
    if (result?.verdict === 'incomplete') incomplete.push(scenario);
    if (result?.verdict !== 'violated') continue;
    by = result;
    break;
  }
  const seconds = (performance.now() - started) / 1000;
  return { sabotage, by, searched, incomplete, skipped, seconds };
}

/** Null where the scenario's modules do not know the sabotage. */
async function searchUnlessRefused(threads: SearchThreads, job: Job): Promise<Exploration | null> {
  try {
    return await threads.search(job, () => {});
  } catch (error) {
    if (error instanceof RefusedError) return null;
    throw error;
  }
}

function foundText({ sabotage, by, searched, incomplete, skipped, seconds }: Found): string {
  if (by !== null) {
    const { scenario, invariant, events } = by;
    const size = `${count(events, 'event')}, ${seconds.toFixed(1)} s`;
    return `${sabotage}: found by ${scenario} (${invariant}, ${size})`;
  }
  const unfinished = incomplete.length === 0 ? '' : `, not finished: ${incomplete.join(', ')}`;
  return `${sabotage}: NOT FOUND in ${count(searched, 'scenario')} (${skipped} do not load it${unfinished})`;
}

function toJson({ sabotage, by, searched, incomplete, skipped, seconds }: Found): object {
  const { scenario = null, invariant = null, message = null, events = null } = by ?? {};
  const finding = { found: by !== null, scenario, invariant, message, events };
  return { sabotage, ...finding, searched, skipped, incomplete, seconds };
}
