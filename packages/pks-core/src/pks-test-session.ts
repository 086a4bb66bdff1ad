// SPDX-License-Identifier: MIT
// run_pks as it was rewritten: a session for each open file, one test at a time. V7 to V10, lib/pks/pks_test.c

import {
  type DebugfsFile,
  EINVAL,
  ENOENT,
  ENOMEM,
  type Kernel,
  type Mutex,
  OPEN_FILES_MAX,
} from '@pkslab/kernel';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import { PKS_NUM_KEYS } from './pkr.ts';
import type { Pks } from './pks.ts';
import { PksTestRun, type TestPage } from './pks-test-run.ts';

/** Commands, one digit a write. */
export const PksCommand = {
  checkDefaults: 0,
  runSingle: 1,
  armCtxSwitch: 2,
  checkCtxSwitch: 3,
  runException: 4,
  runExceptionUpdate: 5,
  runAllKeys: 6,
  runCrashTest: 9,
} as const;

const session = (name: string, type: FieldDefinition['type']): FieldDefinition => ({
  name: `pks_session.${name}`,
  type,
  initial: 0,
  per: 'object',
  count: OPEN_FILES_MAX,
});
const pageField = session('ctx.test_page', 'address');
const dataField = session('ctx.data', 'address');
const unlockField = session('need_unlock', 'bool');
const crashField = session('crash_armed', 'bool');
const passField = session('last_test_pass', 'bool');

/** struct pks_session_data of each open file, and what its commands run. */
export class PksTestSessions {
  readonly run: PksTestRun;
  readonly #pks: Pks;
  readonly #lock: Mutex;
  readonly #page: Column;
  readonly #data: Column;
  readonly #needUnlock: Column;
  readonly #crashArmed: Column;
  readonly #pass: Column;
  /** Whether command 5 is V7's test of abandoned keys. */
  readonly #abandons: boolean;
  readonly #allKeys: boolean;
  /** Constant after boot. */
  #key = 0;

  constructor(kernel: Kernel, pks: Pks) {
    const { machine } = kernel;
    this.#pks = pks;
    this.run = new PksTestRun(kernel, pks);
    this.#lock = kernel.mutex('test_run_lock');
    this.#page = machine.column(pageField);
    this.#data = machine.column(dataField);
    this.#needUnlock = machine.column(unlockField);
    this.#crashArmed = machine.column(crashField);
    this.#pass = machine.column(passField);
    this.#abandons = kernel.choice('testProgramme') === 'v7';
    this.#allKeys = kernel.config.enabled('PKS_TEST_ALL_KEYS');
    if (pks.keys.isStatic) this.#takeKey();
    else kernel.initcall('late', () => this.#takeKey());
  }

  /** PKS_KEY_TEST, or a key like any driver's where there are no constants. */
  #takeKey(): void {
    this.#key = this.#pks.keys.forConsumer('pks test', 'test');
    const first = this.#allKeys ? 1 : this.#key;
    const last = this.#allKeys ? PKS_NUM_KEYS - 1 : this.#key;
    for (let key = first; key > 0 && key <= last; key++) {
      this.#pks.callbacks.register(key, this.run.callback);
    }
  }

  /** run_pks */
  file(): DebugfsFile {
    return {
      mode: 0o600,
      read: (file) => (this.#pass.get(file) !== 0 ? 'PASS\n' : 'FAIL\n'),
      write: (data, file) => this.#write(data, file),
      release: (file) => this.#release(file),
    };
  }

  /**
   * pks_write_file: a digit is a command. −EINVAL for what is no number, −ENOENT for a test that there is not.
   * −EBUSY is for a signal while it waits for its turn; nobody sends one here.
   */
  #write(data: string, file: number): number {
    if (!/^\d\n?$/.test(data)) return -EINVAL;
    const command = Number(data.charAt(0));
    this.#lock.lock();
    const result = this.#runCommand(command, file);
    if (command !== PksCommand.runCrashTest) this.#crashArmed.set(file, 0);
    this.#lock.unlock();
    return result < 0 ? result : data.length;
  }

  #runCommand(command: number, file: number): number {
    const { run } = this;
    const key = this.#key;
    switch (command) {
      case PksCommand.checkDefaults:
        return this.#note(file, run.checkDefaults());
      case PksCommand.runSingle:
        return this.#note(file, run.single(key) === 0);
      case PksCommand.armCtxSwitch:
        return this.#arm(file);
      case PksCommand.checkCtxSwitch:
        return this.#note(file, this.#page.get(file) !== 0 && run.checkSwitched(key));
      case PksCommand.runException:
        return this.#note(file, run.exception(key) === 0);
      case PksCommand.runExceptionUpdate:
        return this.#note(file, this.#update(key) === 0);
      case PksCommand.runAllKeys:
        return this.#allKeys ? this.#note(file, this.runAll()) : -ENOENT;
      case PksCommand.runCrashTest:
        return this.#crash(file);
      default:
        return -ENOENT;
    }
  }

  #note(file: number, pass: boolean): number {
    this.#pass.set(file, pass ? 1 : 0);
    return 0;
  }

  #update(key: number): number {
    return this.#abandons ? this.run.abandon(key) : this.run.exceptionUpdate(key);
  }

  /** RUN_ALL_KEYS: the single test with keys 1 to 15. CONFIG_PKS_TEST_ALL_KEYS */
  runAll(): boolean {
    let pass = true;
    for (let key = 1; key < PKS_NUM_KEYS; key++) {
      if (this.run.single(key) !== 0) pass = false;
    }
    return pass;
  }

  /** The context stays until the file is closed, as what is armed does. */
  #arm(file: number): number {
    const test = this.#context(file);
    if (test === null) return -ENOMEM;
    this.run.arm(this.#key);
    return this.#note(file, true);
  }

  #context(file: number): TestPage | null {
    const page = this.#page.get(file);
    if (page !== 0) return { page, data: this.#data.get(file) };
    const test = this.run.alloc(this.#key);
    if (test === null) return null;
    this.#page.set(file, test.page);
    this.#data.set(file, test.data);
    return test;
  }

  /** The first write arms, the second faults for good: the task dies with test_run_lock held. */
  #crash(file: number): number {
    if (this.#crashArmed.exchange(file, 1) === 0) return this.#note(file, true);
    const test = this.#context(file);
    if (test === null) return -ENOMEM;
    this.#needUnlock.set(file, 1);
    this.run.crash(test);
    this.#needUnlock.set(file, 0);
    return this.#note(file, false);
  }

  /** pks_release_file: what a dead task could not unlock is unlocked here. */
  #release(file: number): void {
    if (this.#needUnlock.exchange(file, 0) !== 0) this.#lock.unlock();
    const page = this.#page.get(file);
    if (page !== 0) this.run.free({ page, data: this.#data.get(file) });
    this.#page.set(file, 0);
    this.#crashArmed.set(file, 0);
    this.#pass.set(file, 0);
  }
}
