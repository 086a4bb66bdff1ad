// SPDX-License-Identifier: MIT
// pkslab explore

import {
  type Deliver,
  ENGINES,
  type Engine,
  type Exploration,
  type Scenario,
  STRATEGIES,
  type Strategy,
} from '@pkslab/explore';
import { type RevisionName, type RevisionRequest, revisionNames } from '@pkslab/kernel';
import { scenarios } from '@pkslab/selftests';
import { formatNames, formatted } from '../explore/format.ts';
import type { Job } from '../explore/job.ts';
import { runMatrix } from '../explore/matrix.ts';
import type { MatrixRequest } from '../explore/matrix-cell.ts';
import { exitStatus, reportText, toJson } from '../explore/report.ts';
import { runSabotages, type SabotageRequest } from '../explore/sabotage-run.ts';
import {
  BROKEN_STATUS,
  BrokenSearchError,
  interruptible,
  RefusedError,
  type SearchThreads,
  SIGNAL_STATUS,
} from '../explore/search-threads.ts';
import { checkWritable, readTrace, writeTrace } from '../explore/trace-file.ts';
import {
  type Arguments,
  type Command,
  type Io,
  runCommand,
  suggestion,
  UsageError,
} from '../options.ts';
import { Progress } from '../progress.ts';
import { requestOf, requestOptions, sabotageNames } from '../request.ts';

const spec = {
  name: 'explore',
  summary: 'Searches every interleaving of a scenario: holds, or the schedule that breaks it.',
  positionals: [
    { name: 'SCENARIO', help: 'name of a scenario; pkslab scenarios lists them', count: 'any' },
  ],
  options: {
    all: { type: 'boolean', help: 'Every scenario of the catalogue' },
    matrix: { type: 'boolean', help: 'Every scenario, or those named, on every revision: a table' },
    ...requestOptions,
    revision: {
      type: 'list',
      value: 'R',
      help: 'The revision of the series, reference if none is given; for --matrix a list',
      choices: revisionNames as readonly string[],
    },
    sabotage: {
      type: 'list',
      value: 'LIST|all',
      help: 'Protections to break; all: each alone, until a scenario finds it',
    },
    irq: { type: 'integer', value: 'N', help: 'Interrupts in a schedule', max: 9 },
    nmi: { type: 'integer', value: 'N', help: 'NMIs in a schedule', max: 9 },
    preempt: { type: 'integer', value: 'N', help: 'Preemptions in a schedule', max: 9 },
    'page-fault': { type: 'integer', value: 'N', help: 'Page faults in a schedule', max: 9 },
    'machine-check': { type: 'integer', value: 'N', help: 'Machine checks in a schedule', max: 9 },
    migrate: { type: 'integer', value: 'N', help: 'Migrations in a schedule', max: 9 },
    'power-fail': { type: 'integer', value: 'N', help: 'Power failures in a schedule', max: 1 },
    deliver: {
      type: 'string',
      value: 'D',
      help: 'Before which operations events come',
      choices: ['every-op', 'conflict'],
    },
    strategy: {
      type: 'string',
      value: 'S',
      help: 'How to search',
      choices: STRATEGIES as readonly string[],
      default: 'exhaustive',
    },
    engine: {
      type: 'string',
      value: 'E',
      help: 'Of random and pct; live: on the code itself too, where the two must agree',
      choices: ENGINES as readonly string[],
      default: 'memoised',
    },
    seed: { type: 'integer', value: 'N', help: 'Of random and pct', default: 1 },
    schedules: { type: 'integer', value: 'N', help: 'Of random and pct', default: 10_000, min: 1 },
    depth: {
      type: 'integer',
      value: 'N',
      help: 'Of pct: points that a bug needs',
      default: 3,
      min: 1,
    },
    switches: { type: 'integer', value: 'N', help: 'Of bounded: changes of CPU', default: 2 },
    guide: { type: 'string', value: 'FILE', help: 'Of guided: a saved trace to begin with' },
    exact: { type: 'boolean', help: 'Keep whole states in place of hashes: slower' },
    cpus: { type: 'integer', value: 'N', help: 'CPUs, where the scenario lets one choose', min: 1 },
    'max-states': { type: 'integer', value: 'N', help: 'Stop there', default: 20_000_000, min: 1 },
    'max-time': { type: 'integer', value: 'S', help: 'Seconds for each scenario', min: 1 },
    trace: { type: 'string', value: 'FILE', help: 'Save the violating schedule there' },
    format: {
      type: 'string',
      value: 'F',
      help: 'Of the violating schedule on stdout; markdown: of the matrix',
      choices: [...formatNames, 'markdown'],
      default: 'text',
    },
    json: { type: 'boolean', help: 'One JSON document on stdout' },
  },
  notes: [
    'Ctrl-C ends the search at hand and prints what it covered.',
    '--matrix and --sabotage all search two scenarios at once.',
    'Exit status: 0 if all hold, 1 if one is violated, 3 if a search did not finish, 4 if one broke off, 130 after Ctrl-C.',
  ],
  examples: [
    'pkslab explore irq-in-section --revision rfc-v2',
    'pkslab explore --all --revision rfc-v2 --repair D-01',
    'pkslab explore nmi-in-section --revision rfc-v2 --trace nmi.json',
    'pkslab explore nmi-in-section --revision rfc-v2 --format chrome > nmi-trace.json',
    'pkslab explore --matrix --revision reference,v10',
    'pkslab explore --sabotage all',
    'pkslab explore preempt-in-section --with schedHook=xtraOnly',
  ],
} as const;

type Options = Arguments<typeof spec>['options'];

/** Explores scenarios and reports on each; or all of them on every revision, or under every sabotage. */
export const explore: Command = (args, io) =>
  runCommand(spec, args, io, ({ options, positionals }) => {
    const sabotageAll = options.sabotage.includes('all');
    if (options.matrix && sabotageAll) throw new UsageError('--matrix or --sabotage all, not both');
    const many = options.matrix || sabotageAll;
    const everything = options.all || (many && positionals.length === 0);
    const chosen = chosenFrom(everything, positionals);
    checkOutput(options, many, chosen);
    if (options.revision.length > 1 && !options.matrix) {
      throw new UsageError('several revisions: say --matrix');
    }
    const run = options.matrix ? matrix : sabotageAll ? sabotages : searchEach;
    return orBroken(run(options, chosen, io), io);
  });

/** What a run exits with; a search that broke off is neither a violation nor a wrong command line. */
async function orBroken(run: Promise<number>, io: Io): Promise<number> {
  try {
    return await run;
  } catch (error) {
    if (!(error instanceof BrokenSearchError)) throw error;
    io.stderr(`pkslab explore: a search broke off: ${error.message}\n`);
    return BROKEN_STATUS;
  }
}

async function searchEach(options: Options, chosen: readonly Scenario[], io: Io): Promise<number> {
  const job = jobOf(options);
  const results: Exploration[] = [];
  const signal = await interruptible(async (threads, stopped) => {
    for (const { name } of chosen) {
      if (stopped()) break;
      const result = await search(threads, { scenario: name, options: job }, io, options.all);
      if (result === null) continue;
      print(result, options, io);
      results.push(result);
    }
  });
  if (results.length === 0 && signal === null) throw new UsageError('no scenario takes this');
  if (options.json) io.stdout(`${JSON.stringify(results.map(toJson), null, 2)}\n`);
  return signal === null ? exitStatus(results) : SIGNAL_STATUS[signal];
}

async function matrix(options: Options, chosen: readonly Scenario[], io: Io): Promise<number> {
  const given = options.revision as readonly RevisionName[];
  const request: MatrixRequest = {
    scenarios: chosen.map(({ name }) => name),
    revisions: given.length === 0 ? revisionNames : [...new Set(given)],
    options: jobOf(options),
    format: options.json ? 'json' : options.format === 'markdown' ? 'markdown' : 'text',
  };
  let status = 0;
  const signal = await interruptible(async (threads, stopped) => {
    status = await runMatrix(request, threads, stopped, io);
  });
  return signal === null ? status : SIGNAL_STATUS[signal];
}

async function sabotages(options: Options, chosen: readonly Scenario[], io: Io): Promise<number> {
  const request: SabotageRequest = {
    scenarios: chosen.map(({ name }) => name),
    sabotages: sabotageNames,
    options: jobOf({ ...options, sabotage: [] }),
    json: options.json,
  };
  let status = 0;
  const signal = await interruptible(async (threads, stopped) => {
    status = await runSabotages(request, threads, stopped, io);
  });
  return signal === null ? status : SIGNAL_STATUS[signal];
}

/** Refuses what cannot be written as asked, before the search. */
function checkOutput(
  { json, format, trace, matrix }: Options,
  many: boolean,
  chosen: readonly Scenario[],
): void {
  const foreign = format !== 'text' && !(format === 'markdown' && matrix);
  if (format === 'markdown' && !matrix) throw new UsageError('--format markdown is for --matrix');
  if (json && format !== 'text') throw new UsageError('--json or --format, not both');
  if ((foreign || trace !== undefined) && (many || chosen.length > 1)) {
    throw new UsageError(`--${foreign ? 'format' : 'trace'} is for one scenario`);
  }
  if (trace !== undefined) checkWritable(trace);
}

/** In a format of other programs stdout has the schedule alone. */
function print(result: Exploration, { json, format, trace }: Options, io: Io): void {
  const { recording, saved } = result;
  if (trace !== undefined) {
    if (saved === null) io.stderr(`nothing is violated: ${trace} is not written\n`);
    else writeTrace(trace, saved);
  }
  if (json) return;
  if (format === 'text') io.stdout(reportText(result));
  else {
    io.stderr(reportText({ ...result, trace: '' }));
    if (recording !== null) io.stdout(formatted(recording, format));
  }
}

/** Null where `skip` is set and the scenario does not take the request: a line says so. */
async function search(
  threads: SearchThreads,
  job: Job,
  io: Io,
  skip: boolean,
): Promise<Exploration | null> {
  const progress = new Progress(io);
  try {
    return await threads.search(job, ({ states, events, depth, seconds }) =>
      progress.show(() => {
        const rate = Math.round(states / seconds / 1000);
        return `${job.scenario}: ${events} events, ${states} states, ${rate} k/s, depth ${depth}, ${seconds.toFixed(0)} s`;
      }),
    );
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    if (!skip) throw new UsageError(`${job.scenario}: ${error.message}`);
    io.stderr(`${job.scenario} skipped: ${error.message}\n`);
    return null;
  } finally {
    progress.end();
  }
}

function jobOf(options: Options): Job['options'] & RevisionRequest {
  const [revision = 'reference'] = options.revision;
  const request = requestOf({ ...options, revision });
  const budget = given({
    irq: options.irq,
    nmi: options.nmi,
    preempt: options.preempt,
    pageFault: options['page-fault'],
    machineCheck: options['machine-check'],
    migrate: options.migrate,
    powerFail: options['power-fail'],
  });
  const bounds = given({ maxSeconds: options['max-time'], cpus: options.cpus });
  return {
    ...request,
    ...strategyOf(options),
    budget,
    maxStates: options['max-states'],
    ...bounds,
  };
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

function strategyOf(options: Options): Partial<Job['options']> {
  const { seed, schedules, depth, switches, exact, guide } = options;
  const strategy = options.strategy as Strategy;
  const engine = options.engine as Engine;
  if ((strategy === 'guided') !== (guide !== undefined)) {
    throw new UsageError('--strategy guided and --guide FILE belong together');
  }
  const deliver = options.deliver as Deliver | undefined;
  return {
    strategy,
    engine,
    seed,
    schedules,
    depth,
    switches,
    exact,
    ...(deliver === undefined ? {} : { deliver }),
    ...(guide === undefined ? {} : { trace: readTrace(guide) }),
  };
}

/** The entries that have a value. */
function given<T>(values: Readonly<Record<string, T | undefined>>): Record<string, T> {
  const entries = Object.entries(values).filter(
    (entry): entry is [string, T] => entry[1] !== undefined,
  );
  return Object.fromEntries(entries);
}
