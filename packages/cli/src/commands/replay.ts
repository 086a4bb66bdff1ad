// SPDX-License-Identifier: MIT
// pkslab replay

import { createInterface } from 'node:readline/promises';
import {
  ENGINES,
  type Engine,
  ExploreError,
  endingText,
  headerText,
  type Replay,
  replay as runReplay,
  type SavedTrace,
  type Scenario,
  stepText,
  traceText,
} from '@pkslab/explore';
import { KernelError, type RevisionName, type RevisionRequest } from '@pkslab/kernel';
import { scenarios } from '@pkslab/selftests';
import { formatNames, formatted } from '../explore/format.ts';
import { readTrace } from '../explore/trace-file.ts';
import {
  type Arguments,
  type Command,
  CommandError,
  type Io,
  runCommand,
  suggestion,
  UsageError,
} from '../options.ts';
import { requestOf, requestOptions, requestText } from '../request.ts';

const { default: _, ...revision } = requestOptions.revision;

const spec = {
  name: 'replay',
  summary: 'Runs the events of a saved trace again, on its kernel or on another one.',
  positionals: [{ name: 'FILE', help: 'what pkslab explore --trace wrote' }],
  options: {
    step: { type: 'boolean', help: 'Number the steps; on a terminal wait before each' },
    ...requestOptions,
    revision: { ...revision, help: 'Another revision, as posted' },
    engine: {
      type: 'string',
      value: 'E',
      help: 'live: on the code itself, for breakpoints, compared with the other one at each step',
      choices: ENGINES as readonly string[],
      default: 'memoised',
    },
    format: {
      type: 'string',
      value: 'F',
      help: 'Of the steps',
      choices: formatNames,
      default: 'text',
    },
    json: { type: 'boolean', help: 'One JSON document on stdout' },
  },
  notes: [
    'Without --revision, --repair, --sabotage and --with are added to what the trace was found on.',
    'Exit status: 0 if the events break nothing, 1 if they break an invariant, 3 if they find no place.',
  ],
  examples: [
    'pkslab explore nmi-in-section --revision rfc-v2 --trace nmi.json',
    'pkslab replay nmi.json --step',
    'pkslab replay nmi.json --repair D-01,D-03',
    'node --inspect-brk "$(which pkslab)" replay nmi.json --engine live',
  ],
} as const;

type Options = Arguments<typeof spec>['options'];

/** Replays a trace file. */
export const replay: Command = (args, io) =>
  runCommand(spec, args, io, async ({ options, positionals }) => {
    const [file = ''] = positionals;
    if (options.json && options.format !== 'text')
      throw new UsageError('--json or --format, not both');
    if (options.step && (options.json || options.format !== 'text')) {
      throw new UsageError('--step is for text');
    }
    const saved = readTrace(file);
    const engine = options.engine as Engine;
    const result = replayed(file, saved, requestFrom(options, saved), engine);
    if (options.json) io.stdout(`${JSON.stringify(result, null, 2)}\n`);
    else if (options.format !== 'text') io.stdout(formatted(result.recording, options.format));
    else await print(result, saved, options.step, io);
    return STATUS[result.outcome];
  });

const STATUS = { ended: 0, violated: 1, diverged: 3 } as const;

function requestFrom(options: Options, saved: SavedTrace): RevisionRequest {
  const given = requestOf({ ...options, revision: options.revision ?? saved.revision });
  if (options.revision !== undefined) return given;
  return {
    revision: saved.revision,
    repairs: [...new Set([...saved.repairs, ...given.repairs])],
    sabotages: [...new Set([...saved.sabotages, ...given.sabotages])],
    with: { ...saved.with, ...given.with },
  };
}

function replayed(
  file: string,
  saved: SavedTrace,
  request: RevisionRequest,
  engine: Engine,
): Replay {
  const scenario = scenarioOf(file, saved);
  try {
    const revision = request.revision as RevisionName;
    return runReplay(scenario, saved, { ...request, revision, engine });
  } catch (error) {
    const expected = error instanceof KernelError || error instanceof ExploreError;
    if (expected) throw new CommandError(`${file}: ${error.message}`);
    throw error;
  }
}

function scenarioOf(file: string, { scenario: name }: SavedTrace): Scenario {
  const found = scenarios.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = scenarios.map((one) => one.name);
  throw new CommandError(`${file}: no scenario ${name} here.${suggestion(name, names)}`);
}

async function print(result: Replay, saved: SavedTrace, step: boolean, io: Io): Promise<void> {
  io.stdout(`${result.scenario} on ${requestText(result)}\n\n`);
  const quit = step ? await printSteps(result, io) : false;
  if (!step) io.stdout(traceText(result.recording));
  else if (!quit) io.stdout(`${endingText(result.recording).join('\n')}\n`);
  io.stdout(`\n${outcomeText(result, saved)}\n`);
  if (result.engine === 'live') io.stdout('the live engine did the same at each step\n');
}

function outcomeText(
  { outcome, violation, reproduced, divergedAt }: Replay,
  saved: SavedTrace,
): string {
  if (outcome === 'diverged') return `diverged at ${divergedAt}`;
  if (violation === null)
    return `the events break nothing here (the trace broke ${saved.violation.invariant})`;
  const same = reproduced ? 'as in the trace' : `the trace broke ${saved.violation.invariant}`;
  return `violated: ${violation.invariant} (${same})`;
}

/** Prints the steps with their numbers; on a terminal each after Enter. True if the reader had enough. */
async function printSteps({ recording }: Replay, io: Io): Promise<boolean> {
  const { steps } = recording;
  const width = String(steps.length).length;
  io.stdout(`${headerText(recording)}\n`);
  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  const lines = terminal ? createInterface({ input: process.stdin, output: process.stderr }) : null;
  try {
    for (const [i, step] of steps.entries()) {
      io.stdout(`${String(i + 1).padStart(width)}  ${stepText(step)}\n`);
      if (lines === null || i === steps.length - 1) continue;
      const answer = await lines.question('Enter: next, q: quit ');
      if (answer.trim().toLowerCase().startsWith('q')) return true;
    }
    return false;
  } finally {
    lines?.close();
  }
}
