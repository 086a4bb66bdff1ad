// SPDX-License-Identifier: MIT
// The kernel half of RFC V2's test programme: debugfs x86/run_pks. [PATCH 08/17] x86/pks: Add PKS Test code

import {
  type ChoiceSlice,
  type Choices,
  type DebugfsFile,
  ENOMEM,
  EOPNOTSUPP,
  type Kernel,
  KernelError,
  type KernelModule,
  OPEN_FILES_MAX,
} from '@pkslab/kernel';
import { type Column, type FieldDefinition, IA32_PKRS } from '@pkslab/x86-cpu';
import {
  PKEY_DISABLE_ACCESS,
  PKEY_DISABLE_WRITE,
  PKR_AD_BIT,
  PKR_BITS_PER_PKEY,
  PKR_WD_BIT,
  PKS_NUM_KEYS,
} from './pkr.ts';
import { type Pks, pksCore } from './pks.ts';
import { pksTestConfig } from './pks-config.ts';
import { AccessTest, truth } from './pks-test-access.ts';
import { TestContexts } from './pks-test-context.ts';
import { PksTestRun } from './pks-test-run.ts';
import { PksTestSessions } from './pks-test-session.ts';

/** Below /sys/kernel/debug. */
export const RUN_PKS = 'x86/run_pks';

/** RFC V3: whether the next 9 is the one that crashes. */
const crashArmedField: FieldDefinition = {
  name: 'run_pks.crash_armed',
  type: 'bool',
  initial: 0,
  per: 'object',
  count: OPEN_FILES_MAX,
};

const V2_PROGRAMME: Choices = {
  testProgramme: 'rfcV2',
  testHandler: 'exception',
  'pks-test-on-boot': 'no',
};

/** file->private_data of run_pks: the context of an open file plus 1; 0 is NULL. */
const privateDataField: FieldDefinition = {
  name: 'run_pks.private_data',
  type: 'u8',
  initial: 0,
  per: 'object',
  count: OPEN_FILES_MAX,
};

/**
 * - `testProgramme` — RFC V2's; RFC V3's, with its exception and crash tests; V7's; or the rewritten one of V9 and V10.
 * - `testHandler` — whom RFC V2's programme's fault handler lets through: the calling thread, as posted, which works
 *   only because D-01 leaves every key open behind an exception; or the context that faulted.
 * - `pks-test-on-boot` — the boot parameter of RFC V2.
 */
export const pksTestChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': { ...V2_PROGRAMME, testHandler: 'thread' },
    'rfc-v3': { ...V2_PROGRAMME, testProgramme: 'rfcV3' },
    v7: { ...V2_PROGRAMME, testProgramme: 'v7' },
    v10: { ...V2_PROGRAMME, testProgramme: 'v10' },
    reference: V2_PROGRAMME,
  },
  texts: {
    testProgramme: 'whose test programme run_pks is',
    testHandler: "whose rights the test programme's fault handler changes",
    'pks-test-on-boot': 'the boot parameter that runs all tests in a late initcall',
  },
  values: {
    testProgramme: ['rfcV2', 'rfcV3', 'v7', 'v10'],
    testHandler: ['thread', 'exception'],
    'pks-test-on-boot': ['no', 'yes'],
  },
  // A kernel that keeps an entry's state refuses the access again for ever if the handler opens its own key.
  repairs: { 'D-01': { testHandler: 'exception' } },
};

/** What every programme can do. */
export interface TestProgramme {
  runAll(): void;
}

export class PksTest implements TestProgramme {
  readonly contexts: TestContexts;
  readonly access: AccessTest;
  readonly #kernel: Kernel;
  readonly #pks: Pks;
  readonly #contextOf: Column;
  /** RFC V3's exception and crash tests; null in RFC V2. */
  readonly #run: PksTestRun | null;
  readonly #crashArmed: Column;

  constructor(kernel: Kernel, pks: Pks) {
    this.#kernel = kernel;
    this.#pks = pks;
    this.contexts = new TestContexts(kernel, pks);
    this.access = new AccessTest(kernel, pks, this.contexts);
    this.#contextOf = kernel.machine.column(privateDataField);
    kernel.slots.keyFault.push((regs) => this.access.armedAndClear(regs));
    this.#run = kernel.choice('testProgramme') === 'rfcV3' ? new PksTestRun(kernel, pks) : null;
    this.#crashArmed = kernel.machine.column(crashArmedField);
    const run = this.#run;
    if (run !== null) kernel.slots.keyFault.push((regs) => run.callback(regs));
    kernel.initcall('late', () => this.#init());
  }

  /** pks_test_init */
  #init(): void {
    if (this.#kernel.choice('pks-test-on-boot') === 'yes') this.runAll();
    if (this.#pks.enabled) this.#kernel.debugfs.createFile(RUN_PKS, this.#file());
  }

  #file(): DebugfsFile {
    return {
      mode: 0o600,
      read: (file) => this.#read(file),
      write: (data, file) => this.#write(data, file),
      release: (file) => this.#release(file),
    };
  }

  /** pks_read_file */
  #read(file: number): string {
    const context = this.#contextOf.get(file) - 1;
    if (context < 0) return 'not run\n';
    return this.contexts.pass.get(context) !== 0 ? 'PASS\n' : 'FAIL\n';
  }

  /** pks_write_file: the first byte is the command; the rest is ignored. */
  #write(data: string, file: number): number {
    const command = data.charAt(0);
    // All keys are to be free for run_all, so it comes before the file's own context.
    if (command === '3') this.runAll();
    let context = this.#contextOf.get(file) - 1;
    if (context < 0) {
      context = this.contexts.alloc('pks test');
      if (context < 0) return -ENOMEM;
      this.#contextOf.set(file, context + 1);
    }
    if (command === '0') this.runTest(context);
    else if (command === '1') this.#arm(context);
    else if (command === '2') this.#checkSwitched(context);
    else if (this.#run !== null) this.#runRfcV3(this.#run, command, context, file);
    return data.length;
  }

  /** 4: the exception test; 9, written twice: the crash test, whose fault nobody expects. RFC V3 */
  #runRfcV3(run: PksTestRun, command: string, context: number, file: number): void {
    const key = this.contexts.pkey.get(context);
    if (command === '4') this.contexts.pass.set(context, run.exception(key) === 0 ? 1 : 0);
    if (command !== '9' || this.#crashArmed.exchange(file, 1) === 0) return;
    const test = run.alloc(key);
    if (test !== null) run.crash(test);
  }

  /** pks_release_file */
  #release(file: number): void {
    const context = this.#contextOf.get(file) - 1;
    if (context < 0) return;
    this.contexts.free(context);
    this.#contextOf.set(file, 0);
    this.#crashArmed.set(file, 0);
  }

  /** arm_ctx_switch: rights that the thread must have back after others ran. */
  #arm(context: number): void {
    const key = this.contexts.pkey.get(context);
    this.#pks.pkrs.updateProtection(key, PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE);
  }

  /** check_ctx_switch */
  #checkSwitched(context: number): void {
    if (!this.#pks.enabled) return;
    const value = this.#kernel.machine.rdmsr(IA32_PKRS);
    const pair = (value >>> (this.contexts.pkey.get(context) * PKR_BITS_PER_PKEY)) & 0b11;
    if (pair === (PKR_AD_BIT | PKR_WD_BIT)) return;
    this.contexts.pass.set(context, 0);
    this.#kernel.print('Context switch check failed');
  }

  /**
   * run_all: the tests with every key that is free, in contexts of their own.
   *
   * Use it to test all keys at once; the results are in the log only. May sleep. The boot parameter
   * `pks-test-on-boot` runs it in a late initcall.
   *
   * @example
   * const kernel = boot({ modules: [pksCore, pksTest] });
   * kernel.call(() => kernel.module(pksTest).runAll());
   * kernel.dmesg.filter((line) => line.endsWith('Testing : PASS')).length; // => 15
   */
  runAll(): void {
    const contexts: number[] = [];
    for (let i = 1; i < PKS_NUM_KEYS; i++) {
      const context = this.contexts.alloc(`pks ctx ${i}`);
      if (context >= 0) contexts.push(context);
    }
    for (const context of contexts) this.runTest(context);
    for (const context of contexts) this.contexts.free(context);
  }

  /** pks_run_test: runs the access rows with a context's key and keeps whether they passed. */
  runTest(context: number): void {
    const kernel = this.#kernel;
    this.contexts.pass.set(context, 1);
    const enabled = truth(this.contexts.pksCpuEnabled.get(context) !== 0);
    kernel.print(`     ***** BEGIN: Testing (CPU enabled : ${enabled}) *****`);
    this.#printRegisters();
    kernel.print(`           BEGIN: pkey ${this.contexts.pkey.get(context)} Testing`);
    if (this.access.run(context) !== 0) this.contexts.pass.set(context, 0);
    const result = this.contexts.pass.get(context) !== 0 ? 'PASS' : 'FAIL';
    kernel.print(`           END: PAGE_KERNEL_PKEY Testing : ${result}`);
    kernel.print('     ***** END: Testing *****');
  }

  /** report_pkey_settings, on each CPU: of another one the register itself is read, without an interrupt. */
  #printRegisters(): void {
    const { machine } = this.#kernel;
    for (const { index } of machine.cpus) {
      const value = machine.registers.pkrs.get(index);
      this.#kernel.print(`for CPU ${index} : 0x${value.toString(16)}`);
      for (let key = 0; key < PKS_NUM_KEYS; key++) {
        const pair = value >>> (key * PKR_BITS_PER_PKEY);
        this.#kernel.print(`   ${key}: A:${pair & PKR_AD_BIT} W:${pair & PKR_WD_BIT}`);
      }
    }
  }
}

/** Without PKS_TESTING there is neither the file nor the tests. */
const NOT_BUILT: TestProgramme = {
  runAll(): never {
    throw new KernelError(
      EOPNOTSUPP,
      'pks-test: configured out: boot with config PKS_TESTING (PKS_TEST in v7 and v10)',
    );
  },
};

/**
 * The test programme as a boot module; needs pks-core. Its option is PKS_TESTING, PKS_TEST in V7 and V10.
 *
 * @example
 * const kernel = boot({ modules: [pksCore, pksTest] });
 * kernel.call(() => {
 *   const file = kernel.debugfs.open('x86/run_pks');
 *   file.write('0');
 *   return file.read();
 * }); // => 'PASS\n'
 */
export const pksTest: KernelModule<TestProgramme> = {
  name: 'pks-test',
  ...pksTestChoices,
  config: pksTestConfig,
  symbols: {
    'AccessTest.armedAndClear': 'pks_test_armed_and_clear',
    'AccessTest.run': 'test_mem_access',
    'PksTest.runAll': 'run_all',
    'PksTest.runTest': 'pks_run_test',
    'TestContexts.alloc': 'alloc_ctx',
    'TestContexts.free': 'free_ctx',
  },
  create(kernel) {
    const pks = kernel.module(pksCore);
    if (!kernel.config.enabled('PKS_TESTING') && !kernel.config.enabled('PKS_TEST'))
      return NOT_BUILT;
    const programme = kernel.choice('testProgramme');
    if (programme === 'rfcV2' || programme === 'rfcV3') return new PksTest(kernel, pks);
    const sessions = new PksTestSessions(kernel, pks);
    kernel.initcall('late', () => {
      if (pks.enabled) kernel.debugfs.createFile(RUN_PKS, sessions.file());
    });
    return sessions;
  },
};
