// SPDX-License-Identifier: MIT
// pkslab explore

import type { Exploration, Scenario } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import { scenarios } from '@pkslab/selftests';
import type { Job } from '../explore/job.ts';
import { progressLine } from '../explore/progress-line.ts';
import { exitStatus, reportText, toJson } from '../explore/report.ts';
import {
  interruptible,
  RefusedError,
  type SearchThreads,
  SIGNAL_STATUS,
} from '../explore/search-threads.ts';
import {
  type Arguments,
  type Command,
  type Io,
  runCommand,
  suggestion,
  UsageError,
} from '../options.ts';
import { requestOf, requestOptions } from '../request.ts';

const spec = {
  name: 'explore',
  summary: 'Searches every interleaving of a scenario: holds, or the schedule that breaks it.',
  positionals: [
    { name: 'SCENARIO', help: 'name of a scenario; pkslab scenarios lists them', count: 'any' },
  ],
  options: {
    all: { type: 'boolean', help: 'Every scenario of the catalogue' },
    ...requestOptions,
    irq: { type: 'integer', value: 'N', help: 'Interrupts in a schedule', max: 9 },
    nmi: { type: 'integer', value: 'N', help: 'NMIs in a schedule', max: 9 },
    preempt: { type: 'integer', value: 'N', help: 'Preemptions in a schedule', max: 9 },
    'page-fault': { type: 'integer', value: 'N', help: 'Page faults in a schedule', max: 9 },
    cpus: { type: 'integer', value: 'N', help: 'CPUs, where the scenario lets one choose', min: 1 },
    'max-states': { type: 'integer', value: 'N', help: 'Stop there', default: 20_000_000, min: 1 },
    'max-time': { type: 'integer', value: 'S', help: 'Seconds for each scenario', min: 1 },
    json: { type: 'boolean', help: 'One JSON document on stdout' },
  },
  notes: [
    'Ctrl-C ends the search at hand and prints what it covered.',
    'Exit status: 0 if all hold, 1 if one is violated, 3 if a search did not finish, 130 after Ctrl-C.',
  ],
  examples: [
    'pkslab explore irq-in-section --revision rfc-v2',
    'pkslab explore --all --revision rfc-v2 --repair D-01',
    'pkslab explore preempt-in-section --with schedHook=xtraOnly',
  ],
} as const;

type Options = Arguments<typeof spec>['options'];

/** Explores scenarios and reports on each. */
export const explore: Command = (args, io) =>
  runCommand(spec, args, io, async ({ options, positionals }) => {
    const chosen = chosenFrom(options.all, positionals);
    const job = jobOf(options, requestOf(options));
    const results: Exploration[] = [];
    const signal = await interruptible(async (threads, stopped) => {
      for (const { name } of chosen) {
        if (stopped()) break;
        const result = await search(threads, { scenario: name, ...job }, io, options.all);
        if (result === null) continue;
        if (!options.json) io.stdout(reportText(result));
        results.push(result);
      }
    });
    if (results.length === 0 && signal === null) throw new UsageError('no scenario takes this');
    if (options.json) io.stdout(`${JSON.stringify(results.map(toJson), null, 2)}\n`);
    return signal === null ? exitStatus(results) : SIGNAL_STATUS[signal];
  });

/** Null where `skip` is set and the scenario does not take the request: a line says so. */
async function search(
  threads: SearchThreads,
  job: Job,
  io: Io,
  skip: boolean,
): Promise<Exploration | null> {
  const line = progressLine(io, job.scenario);
  try {
    return await threads.search(job, line.update);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    if (!skip) throw new UsageError(`${job.scenario}: ${error.message}`);
    io.stderr(`${job.scenario} skipped: ${error.message}\n`);
    return null;
  } finally {
    line.end();
  }
}

function jobOf(options: Options, request: RevisionRequest): Pick<Job, 'options'> {
  const budget = given({
    irq: options.irq,
    nmi: options.nmi,
    preempt: options.preempt,
    pageFault: options['page-fault'],
  });
  const bounds = given({ maxSeconds: options['max-time'], cpus: options.cpus });
  return { options: { ...request, budget, maxStates: options['max-states'], ...bounds } };
}

function chosenFrom(all: boolean, names: readonly string[]): readonly Scenario[] {
  if (all && names.length > 0)
    throw new UsageError(`--all is every scenario: leave out ${names.join(', ')}`);
  if (!all && names.length === 0) throw new UsageError('name a scenario, or say --all');
  return all ? scenarios : names.map(byName);
}

function byName(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found !== undefined) return found;
  const names = scenarios.map((scenario) => scenario.name);
  throw new UsageError(
    `no scenario ${name}: there is ${names.join(', ')}.${suggestion(name, names)}`,
  );
}

/** The entries that have a value. */
function given<T>(values: Readonly<Record<string, T | undefined>>): Record<string, T> {
  const entries = Object.entries(values).filter(
    (entry): entry is [string, T] => entry[1] !== undefined,
  );
  return Object.fromEntries(entries);
}
