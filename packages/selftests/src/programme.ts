// SPDX-License-Identifier: MIT
// The test programme: RFC V2's own tests, and ours; and whether they notice a kernel that is broken on purpose.

import {
  type ChoiceSlice,
  type Choices,
  kernelChoices,
  type RevisionRequest,
} from '@pkslab/kernel';
import { pksCore, RUN_PKS } from '@pkslab/pks-core';
import {
  Bench,
  type Need,
  programmeModules,
  type SelfTest,
  TestSkipped,
} from './programme/bench.ts';
import { cpuTests } from './programme/cpus.ts';
import { attachDevice } from './programme/device-rig.ts';
import { deviceUserTests } from './programme/device-users.ts';
import { deviceTests } from './programme/devices.ts';
import { entryTests } from './programme/entries.ts';
import { keyAndCountTests } from './programme/keys-and-counts.ts';
import { postedTests } from './programme/posted.ts';
import { postedV10Tests } from './programme/posted-v10.ts';
import { protocolTests } from './programme/protocol.ts';
import { rightsTests } from './programme/rights.ts';

/** Every test, in the order in which it runs. */
export const programme: readonly SelfTest[] = Object.freeze([
  ...needing(['programme', 'devices'], postedTests),
  ...needing(['programme'], postedV10Tests),
  ...needing(['keys', 'programme', 'devices'], protocolTests),
  ...needing(['keys'], rightsTests),
  ...needing(['keys', 'programme'], entryTests),
  ...needing(['keys'], cpuTests),
  ...needing(['devices'], deviceTests),
  ...needing(['devices'], deviceUserTests),
  ...needing(['keys', 'devices'], keyAndCountTests),
]);

/** Tests with what each of them needs, where it does not say so itself. */
function needing(needs: readonly Need[], tests: readonly SelfTest[]): readonly SelfTest[] {
  return tests.map((test) => ({ needs, ...test }));
}

/** What the options of a request take away from a test; null if nothing. */
function missingNeed({ needs = [] }: SelfTest, request: RevisionRequest): Need | null {
  if (Object.keys(request.config ?? {}).length === 0) return null;
  const kernel = new Bench(request).boot();
  const { keys } = kernel.module(pksCore);
  const has: Readonly<Record<Need, () => boolean>> = {
    keys: () => kernel.call(() => keys.forConsumer('selftest', 'test')) > 0,
    programme: () => kernel.debugfs.list().includes(RUN_PKS),
    devices: () => attachDevice(kernel).device.pagemap.pkey !== 0,
  };
  return needs.find((need) => !has[need]()) ?? null;
}

const WITHOUT: Readonly<Record<Need, string>> = {
  keys: 'supervisor protection keys are configured out',
  programme: 'the test programme of the kernel is configured out',
  devices: 'the protection of device memory is configured out',
};

/** What came of a test. */
export interface TestResult {
  readonly name: string;
  readonly sentence: string;
  readonly origin: SelfTest['origin'];
  readonly status: 'passed' | 'failed' | 'skipped';
  /** What went wrong, or why the test was skipped. */
  readonly details: readonly string[];
}

/** Runs one test on kernels that it boots itself. What the simulated kernel throws is a failure of the test. */
export function runSelfTest(test: SelfTest, request: RevisionRequest): TestResult {
  const { name, sentence, origin } = test;
  const bench = new Bench(request);
  const missing = missingNeed(test, request);
  try {
    if (missing !== null) bench.skip(WITHOUT[missing]);
    test.run(bench);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error instanceof TestSkipped) {
      return { name, sentence, origin, status: 'skipped', details: [error.message] };
    }
    bench.problems.push(`${error.name}: ${error.message}`);
  }
  const details = bench.problems;
  return { name, sentence, origin, status: details.length === 0 ? 'passed' : 'failed', details };
}

/** What came of one sabotage. */
export interface SabotageResult {
  readonly sabotage: string;
  /** `unchanged`: the revision is so anyway. */
  readonly status: 'caught' | 'survived' | 'unchanged';
  /** Tests that pass without the sabotage and fail with it. */
  readonly caughtBy: readonly TestResult[];
}

/** The slices of every package that the programme boots: all design choices that there are. */
export const programmeSlices: readonly ChoiceSlice[] = Object.freeze([
  kernelChoices,
  ...programmeModules.filter(({ values }) => Object.keys(values).length > 0),
]);

/** Names of every sabotage that a loaded module knows. */
export const sabotageNames: readonly string[] = Object.freeze(
  [...new Set(programmeSlices.flatMap((slice) => Object.keys(slice.sabotages ?? {})))].sort(),
);

/**
 * Breaks the kernel in one named way and runs the tests that passed without.
 *
 * @param passed results of the same tests under the same request without the sabotage
 */
export function runSabotage(
  sabotage: string,
  tests: readonly SelfTest[],
  passed: readonly TestResult[],
  request: RevisionRequest,
): SabotageResult {
  if (!isSabotaged(sabotage, request)) return { sabotage, status: 'unchanged', caughtBy: [] };
  const broken = brokenBy(sabotage, request);
  const usable = new Set(
    passed.filter(({ status }) => status === 'passed').map(({ name }) => name),
  );
  const caughtBy = tests
    .filter(({ name }) => usable.has(name))
    .map((test) => runSelfTest(test, broken))
    .filter(({ status }) => status === 'failed');
  return { sabotage, status: caughtBy.length > 0 ? 'caught' : 'survived', caughtBy };
}

/**
 * Whether a sabotage changes any choice of a kernel: false where it is so anyway.
 *
 * @throws {KernelError} EINVAL for an unknown revision, repair, sabotage, choice or value.
 */
export function isSabotaged(sabotage: string, request: RevisionRequest): boolean {
  const before = programmeChoices(request);
  const after = programmeChoices(brokenBy(sabotage, request));
  return Object.entries(before).some(([name, value]) => after[name] !== value);
}

function brokenBy(sabotage: string, request: RevisionRequest): RevisionRequest {
  return { ...request, sabotages: [...request.sabotages, sabotage] };
}

/**
 * Every design choice of the kernels that the tests boot under a request.
 *
 * Use it to refuse a bad request before anything runs.
 *
 * @throws {KernelError} EINVAL for an unknown revision, repair, sabotage, choice or value.
 */
export function programmeChoices(request: RevisionRequest): Choices {
  return new Bench(request).boot().choices;
}

/** What the kernels of a request protect, as a device that is attached to one finds it: a line for a report. */
export function protectionText(request: RevisionRequest): string {
  const kernel = new Bench(request).boot();
  const { pkey } = attachDevice(kernel).device.pagemap;
  const { enabled } = kernel.module(pksCore);
  const levels = `${kernel.mm.levels}-level paging`;
  if (pkey !== 0) return `${request.revision}, ${levels}: devices are protected with key ${pkey}`;
  const why = enabled ? 'no protection key for them' : 'no supervisor protection keys';
  return `${request.revision}, ${levels}: devices are not protected: ${why}`;
}
