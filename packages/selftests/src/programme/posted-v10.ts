// SPDX-License-Identifier: MIT
// The tests of V7 to V10, judged by nothing but what their userspace program prints.

import type { ConfigRequest } from '@pkslab/kernel';
import { type TestPksName, testPksV10 } from '../test-pks-v10.ts';
import type { Bench, SelfTest } from './bench.ts';
import { bootProgramme } from './programme-of.ts';

const REWRITTEN = ['v7', 'v10'];

/** Runs test_pks for one name; the kernel's log says what failed. */
function runNamed(bench: Bench, name: TestPksName, config: ConfigRequest): void {
  const kernel = bootProgramme(bench, REWRITTEN, { config });
  kernel.printk.clear();
  const { lines } = testPksV10(kernel, [name]);
  bench.equal('test_pks', lines[0] ?? '', `[RUN]\t${name}`);
  const result = lines[1] ?? 'killed';
  if (result.startsWith('[SKIP]')) bench.skip(result);
  if (result !== '[OK]') bench.problems.push(`test_pks: ${result}`, ...kernel.dmesg);
}

function named(
  name: TestPksName,
  sentence: string,
  configOf: (bench: Bench) => ConfigRequest = () => ({}),
): SelfTest {
  return {
    name: `test_pks-${name}`,
    sentence,
    origin: 'posted',
    run: (bench) => runNamed(bench, name, configOf(bench)),
  };
}

/** PKS_TEST_ALL_KEYS, which goes with no other consumer; V7 has neither it nor the test. */
function allKeys({ request }: Bench): ConfigRequest {
  if (request.revision !== 'v10') return {};
  return { DEVMAP_ACCESS_PROTECTION: false, PKS_TEST_ALL_KEYS: true };
}

/** The process dies of a key fault that nobody expects, and the machine goes on. */
function createFault(bench: Bench): void {
  const kernel = bootProgramme(bench, REWRITTEN);
  kernel.printk.clear();
  const { lines, status } = testPksV10(kernel, ['create_fault']);
  bench.equal('lines of test_pks', lines.join(), '[RUN]\tcreate_fault');
  bench.equal('status', status, 137);
  const log = kernel.dmesg.join('\n');
  bench.check(log.includes('protection keys violation'), 'the log has no key violation');
  bench.check(/PKRS: 0x[0-9a-f]+/.test(log), 'the log has no PKRS');
  bench.equal('test_pks afterwards', testPksV10(kernel, ['single']).lines[1] ?? '', '[OK]');
}

export const postedV10Tests: readonly SelfTest[] = [
  named('check_defaults', 'Every CPU has PKS_INIT_VALUE.'),
  named('single', 'Four accesses to a page of the test key, under no rights and all.'),
  named('context_switch', 'A process has its rights back after another closed the same key.'),
  named('exception', 'A handler has rights of its own, and leaves those of the thread.'),
  named('exception_update', 'What a callback gives the faulting thread lasts.'),
  named(
    'run_all',
    'The accesses with keys 1 to 15, in a kernel without another consumer.',
    allKeys,
  ),
  {
    name: 'test_pks-create_fault',
    sentence: 'A fault that nobody expects ends the process with PKRS in the log.',
    origin: 'posted',
    run: createFault,
  },
];
