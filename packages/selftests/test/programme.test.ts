// SPDX-License-Identifier: MIT
import type { RevisionRequest } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import {
  programme,
  programmeChoices,
  runSabotage,
  runSelfTest,
  type SelfTest,
  sabotageNames,
} from '../src/index.ts';
import { Bench, EndlessFault } from '../src/programme/bench.ts';

const reference: RevisionRequest = {
  revision: 'reference',
  repairs: [],
  sabotages: [],
  with: {},
};
const rfcV2: RevisionRequest = { ...reference, revision: 'rfc-v2' };

const posted = programme.filter(({ origin }) => origin === 'posted');

function testNamed(name: string): SelfTest {
  const test = programme.find((one) => one.name === name);
  if (test === undefined) throw new Error(`no test ${name}`);
  return test;
}

function failing(request: RevisionRequest, tests: readonly SelfTest[] = programme): string[] {
  return tests
    .map((test) => runSelfTest(test, request))
    .filter(({ status }) => status === 'failed')
    .map(({ name }) => name);
}

/** Names of posted tests of a status. */
function postedWith(status: string, request: RevisionRequest): string[] {
  const results = posted.map((test) => runSelfTest(test, request));
  return results.filter((result) => result.status === status).map(({ name }) => name);
}

const V2_TESTS = ['run_pks-0', 'run_pks-1-2', 'run_pks-3', 'pks-test-on-boot'];
const TEST_PKS = ['test_pks', 'test_pks-tif'];
const REWRITTEN = [
  'test_pks-check_defaults',
  'test_pks-single',
  'test_pks-context_switch',
  'test_pks-exception',
  'test_pks-exception_update',
  'test_pks-create_fault',
];

describe('the programme', () => {
  it('has tests with names of their own, each with a sentence', () => {
    const names = programme.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, sentence } of programme) {
      expect(name).toMatch(/^[a-z0-9_-]+$/);
      expect(sentence).toMatch(/^[A-Za-z].*\.$/);
    }
  });

  it('passes on the reference', () => {
    expect(failing(reference)).toEqual([]);
  });

  it.each([
    ['reference', [...V2_TESTS, ...TEST_PKS]],
    ['rfc-v2', [...V2_TESTS, 'test_pks-tif']],
    ['rfc-v3', [...V2_TESTS, 'run_pks-4', ...TEST_PKS]],
    ['v7', REWRITTEN],
    ['v10', [...REWRITTEN.slice(0, -1), 'test_pks-run_all', ...REWRITTEN.slice(-1)]],
  ] as const)(
    '%s passes the posted tests of its own programme, and skips the others',
    (revision, names) => {
      const request = { ...reference, revision };
      expect(postedWith('passed', request)).toEqual(names);
      expect(postedWith('failed', request)).toEqual(revision === 'rfc-v2' ? ['test_pks'] : []);
    },
  );

  it('shows in RFC V2 what is wrong with it, in the posted tests only where no TIF flag is set', () => {
    expect(failing(rfcV2, posted)).toEqual(['test_pks']);
    const ours = failing(
      rfcV2,
      programme.filter((test) => !posted.includes(test)),
    );
    expect(ours).toEqual([
      'freed-key',
      'freed-key-in-use',
      'forced-switch',
      'forced-switch-tif',
      'preempted-section',
      'preempted-update',
      'new-task',
      'exec',
      'interrupt-in-section',
      'nmi-in-section',
      'machine-check-in-section',
      'handler-section',
      'nmi-handler-section',
      'nested-entries',
      'fault-sleeps',
      'rows-interrupted',
      'cpu-back-online',
      'idle-entry-watched',
      'device-section-interrupted',
      'section-over-attach',
      'pmem-interrupted',
      'devdax-unbind',
      'fsdax-writeback',
      'writecache',
      'surplus-disable',
      'mapped-key',
      'freed-in-fault',
    ]);
  });

  it('finds D-01 in the posted rows as they fail sporadically, and not with D-01 repaired', () => {
    const rows = testNamed('rows-interrupted');
    const { details } = runSelfTest(rows, rfcV2);
    expect(details).toContain('pkey test FAILED: ad 1; wd 1; write TRUE; exception TRUE != FALSE');
    expect(runSelfTest(rows, { ...rfcV2, repairs: ['D-01'] }).status).toBe('passed');
  });

  it('ends a kernel whose fault handler makes no progress', () => {
    const request = { ...rfcV2, with: { statePassing: 'byReference' } };
    const { status, details } = runSelfTest(testNamed('run_pks-0'), request);
    expect(status).toBe('failed');
    expect(details).toEqual([
      'EndlessFault: the same access was let through and refused 500 times: no progress',
    ]);
    expect(() => testNamed('run_pks-0').run(new Bench(request))).toThrow(EndlessFault);
  });

  it('reports a test that says nothing here as skipped, with its reason', () => {
    const test: SelfTest = {
      name: 'none',
      sentence: 'Nothing.',
      origin: 'ours',
      run: (bench) => bench.skip('no such thing'),
    };
    expect(runSelfTest(test, reference)).toMatchObject({
      status: 'skipped',
      details: ['no such thing'],
    });
  });

  it('refuses what no module knows', () => {
    expect(() => programmeChoices({ ...reference, with: { colour: 'red' } })).toThrow(
      'unknown choice colour',
    );
    expect(programmeChoices(rfcV2)['pks-test-on-boot']).toBe('no');
  });
});

describe('sabotage', () => {
  it('is noticed by the posted tests where it breaks the context switch, and nowhere else', () => {
    const baseline = posted.map((test) => runSelfTest(test, reference));
    const caught = sabotageNames.filter(
      (name) => runSabotage(name, posted, baseline, reference).status === 'caught',
    );
    expect(caught).toEqual(['switch-slow-path-only', 'switch-writes-nothing']);
  });

  it('that a revision has anyway is said to be no change', () => {
    expect(runSabotage('nmi-uncovered', programme, [], rfcV2).status).toBe('unchanged');
  });

  it('does not count tests that fail without it', () => {
    const tests = [testNamed('test_pks')];
    const baseline = tests.map((test) => runSelfTest(test, rfcV2));
    expect(runSabotage('switch-writes-nothing', tests, baseline, rfcV2)).toEqual({
      sabotage: 'switch-writes-nothing',
      status: 'survived',
      caughtBy: [],
    });
  });
});
