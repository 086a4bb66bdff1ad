// SPDX-License-Identifier: MIT
// RFC V2's own tests, judged by nothing but what they themselves report.

import type { Kernel } from '@pkslab/kernel';
import { RUN_PKS } from '@pkslab/pks-core';
import { TEST_PKS_LINE, testPks } from '../test-pks.ts';
import type { Bench, SelfTest } from './bench.ts';
import { bootProgramme } from './programme-of.ts';

/** RFC V2's, and RFC V3's, which has the same commands and more. */
const FIRST = ['rfcV2', 'rfcV3'];

/** Writes commands to run_pks in one open file and gives what it reads then. */
function runPks(kernel: Kernel, commands: string): string {
  return kernel.call(() => {
    const file = kernel.debugfs.open(RUN_PKS);
    for (const command of commands) file.write(command);
    const result = file.read();
    file.release();
    return result;
  });
}

function expectPass(bench: Bench, commands: string): void {
  const kernel = bootProgramme(bench, FIRST);
  bench.equal(RUN_PKS, runPks(kernel, commands), 'PASS\n');
  failuresInLog(bench, kernel);
}

/** What the log says that failed; how many runs it says passed. */
function failuresInLog(bench: Bench, kernel: Kernel): number {
  const failures = kernel.dmesg.filter(
    (line) => line.includes('FAIL') || line.includes('Context switch check failed'),
  );
  bench.problems.push(...failures.map((line) => line.trim()));
  return kernel.dmesg.filter((line) => line.endsWith('Testing : PASS')).length;
}

/** One key of 15 is the device's. */
const FREE_KEYS = 14;

function expectTestPks(bench: Bench, workFlag: boolean): void {
  const lines = testPks(bootProgramme(bench, FIRST), { workFlag });
  bench.equal('lines of test_pks', lines.length, 2);
  for (const line of lines) bench.equal('test_pks', line, `${TEST_PKS_LINE}PASS`);
}

export const postedTests: readonly SelfTest[] = [
  {
    name: 'run_pks-0',
    sentence: 'Command 0: the six rows of the access table with a key of the file.',
    origin: 'posted',
    run: (bench) => expectPass(bench, '0'),
  },
  {
    name: 'run_pks-1-2',
    sentence: 'Commands 0, 1, 2: armed rights are still in the register when nobody else ran.',
    origin: 'posted',
    run: (bench) => expectPass(bench, '012'),
  },
  {
    name: 'run_pks-3',
    sentence: 'Command 3, run_all: the access table with every free key; the log has the results.',
    origin: 'posted',
    run(bench) {
      const kernel = bootProgramme(bench, FIRST);
      kernel.printk.clear();
      runPks(kernel, '3');
      bench.equal('keys that passed', failuresInLog(bench, kernel), FREE_KEYS);
    },
  },
  {
    name: 'pks-test-on-boot',
    sentence: 'The boot parameter runs run_all in a late initcall.',
    origin: 'posted',
    run(bench) {
      const kernel = bootProgramme(bench, FIRST, { with: { 'pks-test-on-boot': 'yes' } });
      bench.equal('keys that passed', failuresInLog(bench, kernel), FREE_KEYS);
    },
  },
  {
    name: 'run_pks-4',
    sentence: "Command 4 of RFC V3: a handler has rights of its own, and leaves the thread's.",
    origin: 'posted',
    run(bench) {
      const kernel = bootProgramme(bench, ['rfcV3']);
      bench.equal(RUN_PKS, runPks(kernel, '4'), 'PASS\n');
      failuresInLog(bench, kernel);
    },
  },
  {
    name: 'test_pks',
    sentence: 'The userspace program: two processes on CPU 0, ordered by their sleeps.',
    origin: 'posted',
    run: (bench) => expectTestPks(bench, false),
  },
  {
    name: 'test_pks-tif',
    sentence: 'test_pks where a TIF flag sends every context switch down its slow path.',
    origin: 'posted',
    run: (bench) => expectTestPks(bench, true),
  },
];
