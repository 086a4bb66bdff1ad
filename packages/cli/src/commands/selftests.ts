// SPDX-License-Identifier: MIT
// pkslab selftests

import {
  type Choices,
  KernelError,
  type RevisionName,
  type RevisionRequest,
  revisionNames,
} from '@pkslab/kernel';
import {
  programme,
  programmeChoices,
  protectionText,
  runSabotage,
  runSelfTest,
  type SelfTest,
  sabotageNames,
} from '@pkslab/selftests';
import { configNote, configOf, configOption } from '../config-option.ts';
import { type Arguments, type Command, runCommand, suggestion, UsageError } from '../options.ts';
import { SelftestReport, sabotagePoint, testPoint } from '../selftest-report.ts';

const testNames = programme.map(({ name }) => name);

const spec = {
  name: 'selftests',
  summary: 'Runs the test programme of the series and ours, and prints KTAP.',
  options: {
    revision: {
      type: 'string',
      value: 'R',
      help: 'The revision of the series',
      choices: revisionNames,
      default: 'reference',
    },
    test: { type: 'list', value: 'NAME', help: 'Only these tests' },
    repair: { type: 'list', value: 'LIST', help: 'Reported defects to repair, e.g. D-01,D-08' },
    sabotage: {
      type: 'list',
      value: 'LIST|all',
      help: 'Break the kernel by each of these in turn: every run must fail',
    },
    with: { type: 'list', value: 'CHOICE=VALUE', help: 'Single design choices to replace' },
    config: configOption,
    junit: { type: 'string', value: 'FILE', help: 'Write JUnit XML there too' },
    json: { type: 'boolean', help: 'One JSON document on stdout in place of KTAP' },
  },
  notes: [
    `Tests: ${testNames.join(', ')}.`,
    `Sabotages: ${sabotageNames.join(', ')}.`,
    configNote,
    'Exit status: 0 if every test passes, or every sabotage is caught; else 1.',
  ],
  examples: [
    'pkslab selftests --revision rfc-v2',
    'pkslab selftests --test test_pks --with schedHook=xtraOnly',
    'pkslab selftests --config X86_5LEVEL=y',
    'pkslab selftests --sabotage all --junit sabotage.xml',
  ],
} as const;

type Options = Arguments<typeof spec>['options'];

/** Runs the programme, or the programme under sabotage. */
export const selftests: Command = (args, io) =>
  runCommand(spec, args, io, ({ options }) => {
    const tests = testsOf(options.test);
    const sabotages = sabotagesOf(options.sabotage);
    const request = requestOf(options);
    const report = new SelftestReport(io, options);
    return sabotages.length === 0
      ? runTests(report, tests, request)
      : runSabotages(report, tests, sabotages, request);
  });

function runTests(
  report: SelftestReport,
  tests: readonly SelfTest[],
  request: RevisionRequest,
): number {
  report.start(tests.length);
  report.note(protectionText(request));
  const results = tests.map((test) => {
    const { value, seconds } = timed(() => runSelfTest(test, request));
    report.point(testPoint(value), value.origin, seconds);
    return value;
  });
  const count = (status: string): number =>
    results.filter((result) => result.status === status).length;
  report.note(
    `${request.revision}: ${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`,
  );
  return report.end({ ...head(request), tests: results });
}

function runSabotages(
  report: SelftestReport,
  tests: readonly SelfTest[],
  sabotages: readonly string[],
  request: RevisionRequest,
): number {
  report.start(sabotages.length);
  const baseline = tests.map((test) => runSelfTest(test, request));
  const useless = baseline.filter(({ status }) => status !== 'passed').map(({ name }) => name);
  if (useless.length > 0) {
    report.note(`not passed without a sabotage, so of no use here: ${useless.join(', ')}`);
  }
  const usable = baseline.filter(({ status }) => status === 'passed');
  const origins = [...new Set(usable.map(({ origin }) => origin))];
  const run = { revision: request.revision, origins };
  const results = sabotages.map((sabotage) => {
    const { value, seconds } = timed(() => runSabotage(sabotage, tests, baseline, request));
    report.point(sabotagePoint(value, run), 'sabotage', seconds);
    return value;
  });
  const caught = results.filter(({ status }) => status === 'caught');
  const byPosted = caught.filter(({ caughtBy }) => caughtBy.some((t) => t.origin === 'posted'));
  const survived = results.filter(({ status }) => status === 'survived').length;
  report.note(
    `${request.revision}: ${caught.length} caught, ${byPosted.length} of them by the posted tests; ${survived} survived`,
  );
  return report.end({ ...head(request), baseline, sabotages: results });
}

function head({ revision, repairs, with: choices, config = {} }: RevisionRequest): object {
  return { revision, repairs, with: choices, config };
}

function timed<T>(run: () => T): { value: T; seconds: number } {
  const start = performance.now();
  const value = run();
  return { value, seconds: (performance.now() - start) / 1000 };
}

function testsOf(names: readonly string[]): readonly SelfTest[] {
  for (const name of names) {
    if (testNames.includes(name)) continue;
    throw new UsageError(`no test ${name}.${suggestion(name, testNames)} --help lists them.`);
  }
  return names.length === 0 ? programme : programme.filter(({ name }) => names.includes(name));
}

function sabotagesOf(names: readonly string[]): readonly string[] {
  if (names.includes('all')) return sabotageNames;
  for (const name of names) {
    if (sabotageNames.includes(name)) continue;
    throw new UsageError(
      `no sabotage ${name}: there is all, ${sabotageNames.join(', ')}.${suggestion(name, sabotageNames)}`,
    );
  }
  return names;
}

/** What is not known to any module is a mistake in the command line. */
function requestOf(options: Options): RevisionRequest {
  const request = {
    revision: options.revision as RevisionName,
    repairs: options.repair,
    sabotages: [],
    with: choicesOf(options.with),
    config: configOf(options.config, options.revision as RevisionName),
  };
  try {
    programmeChoices(request);
  } catch (error) {
    if (error instanceof KernelError) throw new UsageError(error.message);
    throw error;
  }
  return request;
}

function choicesOf(pairs: readonly string[]): Choices {
  const choices: Record<string, string> = {};
  for (const pair of pairs) {
    const [name = '', value, ...rest] = pair.split('=');
    if (name === '' || value === undefined || rest.length > 0) {
      throw new UsageError(`--with ${pair}: expected CHOICE=VALUE`);
    }
    choices[name] = value;
  }
  return choices;
}
