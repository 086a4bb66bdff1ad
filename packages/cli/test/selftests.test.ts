// SPDX-License-Identifier: MIT
// pkslab selftests, run as a user does; needs the build.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pkslab, temporaryFolder } from './pkslab.ts';

/** Tests that take no time. */
const QUICK = 'run_pks-0,test_pks,exec,flush-durable';

const has = (command: string, ...args: string[]): boolean =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0;

describe('pkslab selftests', () => {
  it('prints KTAP, exit 0 where everything passes', async () => {
    const { status, out, err } = await pkslab('selftests', '--test', QUICK);
    expect([status, err]).toEqual([0, '']);
    expect(out).toBe(
      [
        'KTAP version 1',
        '1..4',
        '# reference, 4-level paging: devices are protected with key 1',
        'ok 1 run_pks-0',
        'ok 2 test_pks',
        'ok 3 exec',
        'ok 4 flush-durable',
        '# reference: 4 passed, 0 failed, 0 skipped',
        '',
      ].join('\n'),
    );
  });

  it('says what failed, exit 1', async () => {
    const { status, out } = await pkslab('selftests', '--test', QUICK, '--revision', 'rfc-v2');
    expect(status).toBe(1);
    expect(out).toBe(
      [
        'KTAP version 1',
        '1..4',
        '# rfc-v2, 4-level paging: devices are protected with key 1',
        'ok 1 run_pks-0',
        '# test_pks: The userspace program: two processes on CPU 0, ordered by their sleeps.',
        '# test_pks: "#PF, context switch, pkey allocation and free tests: FAIL", not "#PF, context switch, pkey allocation and free tests: PASS"',
        'not ok 2 test_pks',
        '# exec: A program that is started inside a section has no rights.',
        '# a new program finds PKRS 0x55555544',
        '# a new program can read the page',
        '# a new program can write the page',
        'not ok 3 exec',
        'ok 4 flush-durable',
        '# rfc-v2: 2 passed, 2 failed, 0 skipped',
        '',
      ].join('\n'),
    );
  });

  it.each([
    ['X86_5LEVEL=y', '# reference, 5-level paging: devices are protected with key 1', 'ok 1 exec'],
    [
      'CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS=n',
      '# reference, 4-level paging: devices are not protected: no supervisor protection keys',
      'ok 1 exec # SKIP supervisor protection keys are configured out',
    ],
    [
      'ZONE_DEVICE_ACCESS_PROTECTION=n',
      '# reference, 4-level paging: devices are not protected: no protection key for them',
      'ok 1 exec',
    ],
  ])('takes Kconfig options: %s', async (config, protection, result) => {
    const { status, out } = await pkslab('selftests', '--test', 'exec', '--config', config);
    expect([status, out.split('\n').slice(2, 4)]).toEqual([0, [protection, result]]);
  });

  it.each([
    ['X86_5LEVELS=y', 'reference has no option X86_5LEVELS. Did you mean X86_5LEVEL?'],
    ['X86_5LEVEL', 'expected NAME=y or NAME=n'],
    ['PKS_TEST=y', 'reference has no option PKS_TEST. Did you mean PKS_TESTING?'],
    ['ARCH_HAS_SUPERVISOR_PKEYS=y', 'cannot be set by itself: set X86_INTEL_MEMORY'],
    ['CPU_SUP_INTEL=n,CPU_SUP_AMD=n,PKS_TESTING=y', 'depends on ARCH_HAS_SUPERVISOR_PKEYS'],
  ])('refuses --config %s, and says what there is', async (config, message) => {
    const { status, err } = await pkslab('selftests', '--config', config);
    expect(status).toBe(2);
    expect(err).toContain(message);
  });

  it('takes repairs and single choices', async () => {
    const on = ['selftests', '--test', 'test_pks', '--revision', 'rfc-v2'];
    expect((await pkslab(...on, '--repair', 'D-08')).status).toBe(0);
    expect((await pkslab(...on, '--with', 'schedHook=switchEnd')).status).toBe(0);
  });

  it('reports each sabotage: who caught it, what survived which tests', async () => {
    const list = 'switch-writes-nothing,write-back-lost,nmi-uncovered';
    const { status, out } = await pkslab('selftests', '--test', QUICK, '--sabotage', list);
    expect(status).toBe(1);
    expect(out).toBe(
      [
        'KTAP version 1',
        '1..3',
        '# caught by the posted tests: test_pks',
        '# survived our tests: switch-writes-nothing',
        'ok 1 switch-writes-nothing',
        '# survived the posted tests: write-back-lost',
        '# caught by our tests: flush-durable',
        'ok 2 write-back-lost',
        '# survived: nmi-uncovered, no test notices it',
        'not ok 3 nmi-uncovered',
        '# reference: 2 caught, 1 of them by the posted tests; 1 survived',
        '',
      ].join('\n'),
    );
  });

  it('skips a sabotage that the revision has anyway, with the reason', async () => {
    const args = [
      'selftests',
      '--test',
      'exec',
      '--sabotage',
      'nmi-uncovered',
      '--revision',
      'rfc-v2',
    ];
    const { status, out } = await pkslab(...args);
    expect(status).toBe(0);
    expect(out).toContain('# not passed without a sabotage, so of no use here: exec\n');
    expect(out).toContain('ok 1 nmi-uncovered # SKIP rfc-v2 is so anyway\n');
  });

  it('prints one JSON document', async () => {
    const { status, out } = await pkslab('selftests', '--test', 'exec,test_pks', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toEqual({
      revision: 'reference',
      repairs: [],
      with: {},
      config: {},
      tests: [
        expect.objectContaining({ name: 'test_pks', origin: 'posted', status: 'passed' }),
        expect.objectContaining({ name: 'exec', origin: 'ours', status: 'passed', details: [] }),
      ],
    });
    const sabotaged = await pkslab(
      ...['selftests', '--test', 'flush-durable', '--sabotage', 'write-back-lost', '--json'],
    );
    expect(JSON.parse(sabotaged.out)).toMatchObject({
      baseline: [{ name: 'flush-durable', status: 'passed' }],
      sabotages: [
        { sabotage: 'write-back-lost', status: 'caught', caughtBy: [{ name: 'flush-durable' }] },
      ],
    });
  });

  it('writes JUnit XML that a parser takes', async ({ skip }) => {
    const file = join(temporaryFolder(), 'junit.xml');
    await pkslab('selftests', '--test', QUICK, '--revision', 'rfc-v2', '--junit', file);
    const text = readFileSync(file, 'utf8');
    expect(text).toContain('<testsuite name="pkslab selftests" tests="4" failures="2"');
    skip(!has('python3', '--version'), 'no python3 to parse the XML with');
    const script = 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])';
    expect(has('python3', '-c', script, file)).toBe(true);
  });

  it.each([
    [['--test', 'exek'], 'no test exek. Did you mean exec?'],
    [['--sabotage', 'nmi'], 'no sabotage nmi: there is all, '],
    [['--with', 'schedHook'], '--with schedHook: expected CHOICE=VALUE'],
    [['--with', 'schedHook=never'], 'unknown value of schedHook never'],
    [['--repair', 'D-99'], 'unknown repair D-99'],
  ])('refuses %j, exit 2', async (args, message) => {
    const { status, out, err } = await pkslab('selftests', ...args);
    expect([status, out]).toEqual([2, '']);
    expect(err).toContain(message);
  });

  it('says why a file cannot be written, exit 1', async () => {
    const file = join(temporaryFolder(), 'none', 'junit.xml');
    const { status, err } = await pkslab('selftests', '--test', 'exec', '--junit', file);
    expect(status).toBe(1);
    expect(err).toContain(`pkslab selftests: --junit ${file}: ENOENT`);
  });

  it('prints what prove accepts, for better and worse', async ({ skip }) => {
    skip(!has('prove', '--version'), 'no prove (in perl) to read the KTAP with');
    const folder = temporaryFolder();
    const judged = async (...args: string[]): Promise<string> => {
      const file = join(folder, 'out.tap');
      writeFileSync(file, (await pkslab('selftests', '--test', QUICK, ...args)).out);
      return spawnSync('prove', ['--exec', 'cat', file], { encoding: 'utf8' }).stdout;
    };
    expect(await judged()).toMatch(/All tests successful\.[\s\S]*Tests=4[\s\S]*Result: PASS/);
    expect(await judged('--revision', 'rfc-v2')).toMatch(/Failed tests: {2}2-3[\s\S]*Result: FAIL/);
    const unchanged = ['--revision', 'rfc-v2', '--sabotage', 'nmi-uncovered'];
    expect(await judged(...unchanged)).toContain('Result: PASS');
  });
});
