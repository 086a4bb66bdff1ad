// SPDX-License-Identifier: MIT
// The rewritten userspace program, tools/testing/selftests/x86/test_pks.c of V7 to V10.

import { ENOENT, type Kernel, type OpenFile, type TaskCode } from '@pkslab/kernel';
import { PksCommand, RUN_PKS } from '@pkslab/pks-core';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import { Output } from './output.ts';

/** Names of the tests, in the order in which all of them run; create_fault only runs when it is asked for. */
export const TEST_PKS_NAMES = [
  'check_defaults',
  'single',
  'context_switch',
  'exception',
  'exception_update',
  'run_all',
  'create_fault',
] as const;

export type TestPksName = (typeof TEST_PKS_NAMES)[number];

const COMMANDS: Readonly<Partial<Record<TestPksName, number>>> = {
  check_defaults: PksCommand.checkDefaults,
  single: PksCommand.runSingle,
  exception: PksCommand.runException,
  exception_update: PksCommand.runExceptionUpdate,
  run_all: PksCommand.runAllKeys,
};

const HELP = [
  'Usage: test_pks [-h] [-d] [-c cpu] [test]',
  '\t-h\tPrint this',
  '\t-d\tChanges nothing: the kernel module has no debug messages here',
  '\t-c\tThe CPU of every process, 0 without it',
  `\ttest\t${TEST_PKS_NAMES.join(', ')}; all but create_fault without it`,
];

/** What a process got of a test, as the child of the context-switch test reports it. */
const PASSED = 'P'.charCodeAt(0);
const FAILED = 'F'.charCodeAt(0);
const SKIPPED = 'S'.charCodeAt(0);

const field = (name: string, count: number): FieldDefinition => ({
  name,
  type: 'u8',
  initial: 0,
  per: 'object',
  count,
});
const pipeField = field('test_pks.pipe', 2);
const fullField = field('test_pks.pipe_full', 2);
const resultField = field('test_pks.result', 1);

/** What the program left. */
export interface TestPksRun {
  readonly lines: readonly string[];
  /** 0, 1 if a test failed or was none; 137 where the kernel ended the process. */
  readonly status: number;
}

/**
 * Runs test_pks with its arguments, as a user does, until it ends.
 *
 * Use it on a kernel with the module `pksTest` whose programme is V7's or V10's, outside of any kernel call. Its two
 * processes wait for each other over pipes, so that a context switch is forced (compare {@link testPks}, D-09).
 *
 * @example
 * const kernel = boot({ revision: 'v10', modules: [pksCore, pksTest] });
 * testPksV10(kernel, ['single']).lines; // => ['[RUN]\tsingle', '[OK]']
 */
export function testPksV10(kernel: Kernel, args: readonly string[] = []): TestPksRun {
  return new TestPksV10(kernel).run(args);
}

class TestPksV10 {
  readonly #kernel: Kernel;
  readonly #output: Output;
  /** One byte each way: parent to child, child to parent. */
  readonly #pipes: Column;
  readonly #full: Column;
  readonly #result: Column;
  readonly #open: OpenFile[] = [];
  #cpu = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#output = new Output(kernel);
    this.#pipes = kernel.machine.column(pipeField);
    this.#full = kernel.machine.column(fullField);
    this.#result = kernel.machine.column(resultField);
  }

  run(args: readonly string[]): TestPksRun {
    const names: string[] = [];
    for (let i = 0; i < args.length; i++) {
      const arg = args[i] as string;
      if (arg === '-h') return { lines: HELP, status: 0 };
      if (arg === '-c') this.#cpu = Number(args[++i]);
      else if (arg !== '-d') names.push(arg);
    }
    const { length } = this.#kernel.machine.cpus;
    if (!Number.isInteger(this.#cpu) || this.#cpu < 0 || this.#cpu >= length) {
      return { lines: [`test_pks: -c: there are CPUs 0 to ${length - 1}`], status: 1 };
    }
    const all = TEST_PKS_NAMES.filter((name) => name !== 'create_fault');
    const statuses = (names.length > 0 ? names : all).map((name) => this.#runTest(name));
    return { lines: this.#output.lines, status: Math.max(0, ...statuses) };
  }

  #runTest(name: string): number {
    this.#output.write(`[RUN]\t${name}`);
    const test = TEST_PKS_NAMES.find((known) => known === name);
    if (test === undefined) {
      this.#output.write('[SKIP]\tInvalid test');
      return 1;
    }
    this.#result.poke(0, 0);
    this.#spawn(() => this.#body(test));
    this.#kernel.run();
    const status = this.#report();
    // What a process that was ended had open is closed with it.
    this.#kernel.call(() => {
      for (const file of this.#open.splice(0)) file.release();
    });
    return status;
  }

  #spawn(main: () => void): void {
    const code: TaskCode = { name: 'test_pks', calls: [main], cpu: this.#cpu };
    this.#kernel.call(() => this.#kernel.spawnCode(code));
  }

  #report(): number {
    const result = this.#result.values[0];
    if (result === 0) return 137;
    this.#output.write(
      result === PASSED ? '[OK]' : result === SKIPPED ? '[SKIP] Test not supported' : '[FAIL]',
    );
    return result === FAILED ? 1 : 0;
  }

  #body(test: TestPksName): void {
    const command = COMMANDS[test];
    if (command !== undefined) this.#result.set(0, this.#once(command));
    else if (test === 'context_switch') this.#contextSwitch();
    else this.#createFault();
  }

  /** One command in a file of its own. */
  #once(command: number): number {
    const file = this.#openFile();
    if (file === null) return FAILED;
    const result = this.#command(file, command);
    this.#close(file);
    return result;
  }

  #command(file: OpenFile, command: number): number {
    const wrote = file.write(`${command}`);
    if (wrote === -ENOENT) return SKIPPED;
    if (wrote < 0) return FAILED;
    file.seek(0);
    return file.read() === 'PASS\n' ? PASSED : FAILED;
  }

  #openFile(): OpenFile | null {
    const { debugfs } = this.#kernel;
    if (!debugfs.exists(RUN_PKS)) return null;
    const file = debugfs.open(RUN_PKS);
    if (!this.#open.some(({ number }) => number === file.number)) this.#open.push(file);
    return file;
  }

  #close(file: OpenFile): void {
    file.release();
    const at = this.#open.findIndex(({ number }) => number === file.number);
    if (at >= 0) this.#open.splice(at, 1);
  }

  /** The child arms, the parent closes the same key, the child checks. */
  #contextSwitch(): void {
    const child: TaskCode = { name: 'test_pks', calls: [() => this.#child()], cpu: this.#cpu };
    this.#kernel.spawnCode(child);
    if (this.#read(1) !== PASSED) {
      this.#result.set(0, FAILED);
      return;
    }
    this.#once(PksCommand.runSingle);
    this.#write(0, PASSED);
    this.#result.set(0, this.#read(1));
  }

  #child(): void {
    const file = this.#openFile();
    if (file === null) {
      this.#write(1, FAILED);
      return;
    }
    const armed = this.#command(file, PksCommand.armCtxSwitch);
    this.#write(1, armed);
    if (armed === PASSED) {
      this.#read(0);
      this.#write(1, this.#command(file, PksCommand.checkCtxSwitch));
    }
    this.#close(file);
  }

  #write(pipe: number, byte: number): void {
    this.#pipes.set(pipe, byte);
    this.#full.set(pipe, 1);
  }

  /** Sleeps until there is a byte, and takes it. */
  #read(pipe: number): number {
    while (this.#full.get(pipe) === 0) this.#kernel.sched.sleepUntil(this.#full, pipe, 1);
    this.#full.set(pipe, 0);
    return this.#pipes.get(pipe);
  }

  #createFault(): void {
    const file = this.#openFile();
    this.#result.set(0, FAILED);
    if (file === null) return;
    // Set again if the process lives: 0 says that it was ended.
    this.#result.set(0, 0);
    file.write(`${PksCommand.runCrashTest}`);
    file.write(`${PksCommand.runCrashTest}`);
    this.#result.set(0, FAILED);
  }
}
