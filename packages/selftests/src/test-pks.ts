// SPDX-License-Identifier: MIT
// The userspace half of RFC V2's test programme, tools/testing/selftests/x86/test_pks.c. [PATCH 08/17]

import { type Kernel, type TaskCode, TIF_WORK_CTXSW } from '@pkslab/kernel';
import { RUN_PKS } from '@pkslab/pks-core';
import { Output } from './output.ts';
import { SleepTimer } from './sleep.ts';

/** What the program prints before a result. */
export const TEST_PKS_LINE = '#PF, context switch, pkey allocation and free tests: ';

/** Bytes that it reads of a result. */
const RESULT_SIZE = 10;

export interface TestPksOptions {
  /** Seconds that the partner sleeps before it opens the file. Default 2, as posted. */
  readonly partnerSleeps?: number;
  /** Seconds between the child's arming and its check. Default 4, as posted. */
  readonly childSleeps?: number;
  /** Both processes have a TIF flag that sends a context switch down its slow path (D-08). Default no. */
  readonly workFlag?: boolean;
}

/**
 * Runs test_pks: two processes on CPU 0, one of which expects its rights back after the other ran.
 *
 * Use it on a kernel with the module `pksTest`, outside of any kernel call. Like the posted program it
 * waits for nobody and looks at no exit status: the order is that of the sleeps alone, so a partner that comes
 * late leaves nothing to check (D-09).
 *
 * @returns what both processes printed, in order
 * @example
 * const kernel = boot({ modules: [pksCore, pksTest] });
 * testPks(kernel).length; // => 2
 */
export function testPks(kernel: Kernel, options: TestPksOptions = {}): readonly string[] {
  const { partnerSleeps = 2, childSleeps = 4, workFlag = false } = options;
  const { tasks } = kernel;
  const output = new Output(kernel);
  const timer = new SleepTimer(kernel);
  const flag = (): void => {
    if (workFlag) tasks.tif.set(tasks.current, TIF_WORK_CTXSW);
  };
  const child = (): void => {
    flag();
    withRunPks(kernel, output, (write) => {
      write('0');
      write('1');
      timer.sleep(childSleeps);
      write('2');
    });
  };
  const parent = (): void => {
    flag();
    kernel.spawnCode(pinned(child));
    timer.sleep(partnerSleeps);
    withRunPks(kernel, output, (write) => write('0'));
  };
  kernel.spawnCode(pinned(parent));
  timer.run();
  return output.lines;
}

/** sched_setaffinity: both processes are on CPU 0. */
function pinned(main: () => void): TaskCode {
  return { name: 'test_pks', calls: [main], cpu: 0 };
}

/** Opens run_pks, writes what it is told to, and prints the result. */
function withRunPks(
  kernel: Kernel,
  output: Output,
  body: (write: (command: string) => void) => void,
): void {
  if (!kernel.debugfs.exists(RUN_PKS)) {
    output.write('cannot open file');
    return;
  }
  const file = kernel.debugfs.open(RUN_PKS);
  body((command) => void file.write(command));
  output.write(`${TEST_PKS_LINE}${file.read(RESULT_SIZE).trimEnd()}`);
  file.release();
}
