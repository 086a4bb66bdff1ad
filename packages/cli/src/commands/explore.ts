// SPDX-License-Identifier: MIT
// pkslab explore

import { type Exploration, explore as runExplore, type Scenario } from '@pkslab/explore';
import { KernelError, type RevisionName, revisionNames } from '@pkslab/kernel';
import { scenarios } from '@pkslab/selftests';
import { type Command, type Io, runCommand, suggestion, UsageError } from '../options.ts';

const spec = {
  name: 'explore',
  summary: 'Searches every interleaving of a scenario: holds, or the schedule that breaks it.',
  positionals: [{ name: 'SCENARIO', help: 'name of a scenario', count: 'any' }],
  options: {
    all: { type: 'boolean', help: 'Every scenario of the catalogue' },
    revision: {
      type: 'string',
      value: 'R',
      help: 'The revision of the series',
      choices: revisionNames,
      default: 'reference',
    },
    repair: { type: 'list', value: 'LIST', help: 'Reported defects to repair, e.g. D-01,D-08' },
    sabotage: { type: 'list', value: 'LIST', help: 'Protections to break' },
    irq: { type: 'integer', value: 'N', help: 'Interrupts in a schedule', max: 9 },
    nmi: { type: 'integer', value: 'N', help: 'NMIs in a schedule', max: 9 },
    preempt: { type: 'integer', value: 'N', help: 'Preemptions in a schedule', max: 9 },
    'page-fault': { type: 'integer', value: 'N', help: 'Page faults in a schedule', max: 9 },
    'max-states': { type: 'integer', value: 'N', help: 'Stop there', default: 20_000_000, min: 1 },
    'max-time': { type: 'integer', value: 'S', help: 'Seconds for each scenario', min: 1 },
    json: { type: 'boolean', help: 'One JSON document on stdout' },
  },
  notes: [
    `Scenarios: ${scenarios.map(({ name }) => name).join(', ')}.`,
    'Exit status: 0 if all hold, 1 if one is violated, 3 if a search did not finish.',
  ],
  examples: [
    'pkslab explore irq-in-section --revision rfc-v2',
    'pkslab explore --all --revision rfc-v2 --repair D-01',
  ],
} as const;

/** Explores scenarios and reports on each. */
export const explore: Command = (args, io) =>
  runCommand(spec, args, io, ({ options, positionals }) => {
    const chosen = options.all ? scenarios : positionals.map(byName);
    if (chosen.length === 0) throw new UsageError('name a scenario, or say --all');
    const budget = given({
      irq: options.irq,
      nmi: options.nmi,
      preempt: options.preempt,
      pageFault: options['page-fault'],
    });
    const results = chosen.map((scenario) => {
      const progress = progressLine(io, scenario.name);
      const result = checked(() =>
        runExplore(scenario, {
          revision: options.revision as RevisionName,
          repairs: options.repair,
          sabotages: options.sabotage,
          budget,
          maxStates: options['max-states'],
          ...given({ maxSeconds: options['max-time'] }),
          clock: () => performance.now() / 1000,
          onProgress: progress.update,
        }),
      );
      progress.end();
      if (!options.json) io.stdout(reportText(result));
      return result;
    });
    if (options.json) io.stdout(`${JSON.stringify(results.map(toJson), null, 2)}\n`);
    return exitStatus(results);
  });

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

/** An unknown repair or sabotage is a mistake in the command line. */
function checked<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof KernelError) throw new UsageError(error.message);
    throw error;
  }
}

function exitStatus(results: readonly Exploration[]): number {
  if (results.some(({ verdict }) => verdict === 'violated')) return 1;
  return results.some(({ verdict }) => verdict === 'incomplete') ? 3 : 0;
}

interface ProgressLine {
  update(progress: { states: number; events: number; depth: number; seconds: number }): void;
  end(): void;
}

/** A line on stderr once a search has taken two seconds. */
function progressLine(io: Io, name: string): ProgressLine {
  let shown = 0;
  return {
    update({ states, events, depth, seconds }) {
      if (seconds < 2 || seconds - shown < 0.5) return;
      shown = seconds;
      const rate = Math.round(states / seconds / 1000);
      io.stderr(
        `\r${name}: ${events} events, ${states} states, ${rate} k/s, depth ${depth}, ${seconds.toFixed(0)} s   `,
      );
    },
    end() {
      if (shown > 0) io.stderr('\n');
    },
  };
}

function reportText(result: Exploration): string {
  const { scenario, revision, repairs, sabotages, verdict } = result;
  const repaired = repairs.length === 0 ? '' : ` with ${repairs.join(', ')} repaired`;
  const broken = sabotages.length === 0 ? '' : ` broken by ${sabotages.join(', ')}`;
  const on = `${revision}${repaired}${broken}`;
  const searched = `${count(result.executions, 'schedule')}, ${count(result.states, 'state')}`;
  const counts = `${searched}, ${result.seconds.toFixed(2)} s`;
  const lines = [`${scenario} on ${on}: ${verdict} (${counts})`];
  if (verdict === 'violated') {
    lines.push(
      `  ${result.invariant}: ${result.message}`,
      `  ${count(result.events, 'event')}, ${count(result.operations, 'operation')}; attributed to ${result.attributedTo ?? 'no single repair'}`,
      '',
      result.trace,
    );
  } else {
    lines.push(
      `  space: ${boundText(result)}${verdict === 'holds' ? ', finished' : ', not finished'}`,
    );
    lines.push(
      `  ${result.sitesReached} operation sites reached, ${result.undelivered.length} (site, event) pairs undelivered`,
    );
    for (const { site, event } of result.undelivered) lines.push(`    ${event} at ${site}`);
    lines.push(...suspendedText(result));
  }
  return `${lines.join('\n')}\n`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function boundText({ bound }: Exploration): string {
  const { cpus, irq, nmi, preempt, pageFault } = bound;
  return `${cpus} CPU(s), irq ${irq}, nmi ${nmi}, preempt ${preempt}, pageFault ${pageFault}`;
}

/** One line for each invariant that a window suspended. */
function suspendedText({ suspended }: Exploration): string[] {
  const ids = [...new Set(suspended.map(({ invariant }) => invariant))];
  return ids.map((id) => {
    const windows = suspended
      .filter(({ invariant }) => invariant === id)
      .map(({ window, sites }) => `${window} (${sites} sites)`);
    return `  ${id} not checked in windows: ${windows.join(', ')}`;
  });
}

function toJson(result: Exploration): object {
  const { scenario, revision, repairs, sabotages, verdict, invariant, message } = result;
  const { attributedTo, trace } = result;
  const { events, operations, executions, states, seconds, bound } = result;
  const { sitesReached, undelivered, suspended } = result;
  const request = { scenario, revision, repairs, sabotages };
  const verdictPart = { ...request, verdict, invariant, message, attributedTo };
  const countPart = { events, operations, executions, states, seconds, bound };
  return {
    ...verdictPart,
    ...countPart,
    coverage: { sitesReached, undelivered },
    suspended,
    trace,
  };
}
