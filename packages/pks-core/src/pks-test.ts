// SPDX-License-Identifier: MIT
// The kernel half of RFC V2's test programme: debugfs x86/run_pks. [PATCH 08/17] x86/pks: Add PKS Test code

import {
  type ChoiceSlice,
  type DebugfsFile,
  ENOMEM,
  type Kernel,
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
import { AccessTest, truth } from './pks-test-access.ts';
import { TestContexts } from './pks-test-context.ts';

/** Below /sys/kernel/debug. */
export const RUN_PKS = 'x86/run_pks';

/** file->private_data of run_pks: the context of an open file plus 1; 0 is NULL. */
const privateDataField: FieldDefinition = {
  name: 'run_pks.private_data',
  type: 'u8',
  initial: 0,
  per: 'object',
  count: OPEN_FILES_MAX,
};

/**
 * - `testHandler` — whom the programme's fault handler lets through: the calling thread, as posted, which works
 *   only because D-01 leaves every key open behind an exception; or the context that faulted.
 * - `pks-test-on-boot` — the boot parameter.
 */
export const pksTestChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': { testHandler: 'thread', 'pks-test-on-boot': 'no' },
    'rfc-v3': { testHandler: 'exception', 'pks-test-on-boot': 'no' },
    v7: { testHandler: 'exception', 'pks-test-on-boot': 'no' },
    v10: { testHandler: 'exception', 'pks-test-on-boot': 'no' },
    reference: { testHandler: 'exception', 'pks-test-on-boot': 'no' },
  },
  texts: {
    testHandler: "whose rights the test programme's fault handler changes",
    'pks-test-on-boot': 'the boot parameter that runs all tests in a late initcall',
  },
  values: { testHandler: ['thread', 'exception'], 'pks-test-on-boot': ['no', 'yes'] },
  // A kernel that keeps an entry's state refuses the access again for ever if the handler opens its own key.
  repairs: { 'D-01': { testHandler: 'exception' } },
};

export class PksTest {
  readonly contexts: TestContexts;
  readonly access: AccessTest;
  readonly #kernel: Kernel;
  readonly #pks: Pks;
  readonly #contextOf: Column;

  constructor(kernel: Kernel, pks: Pks) {
    this.#kernel = kernel;
    this.#pks = pks;
    this.contexts = new TestContexts(kernel, pks);
    this.access = new AccessTest(kernel, pks, this.contexts);
    this.#contextOf = kernel.machine.column(privateDataField);
    kernel.slots.keyFault.push((regs) => this.access.armedAndClear(regs));
    kernel.initcall('late', () => this.#init());
  }

  /** pks_test_init */
  #init(): void {
    if (this.#kernel.choice('pks-test-on-boot') === 'yes') this.runAll();
    if (this.#kernel.machine.features.pks) this.#kernel.debugfs.createFile(RUN_PKS, this.#file());
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
    return data.length;
  }

  /** pks_release_file */
  #release(file: number): void {
    const context = this.#contextOf.get(file) - 1;
    if (context < 0) return;
    this.contexts.free(context);
    this.#contextOf.set(file, 0);
  }

  /** arm_ctx_switch: rights that the thread must have back after others ran. */
  #arm(context: number): void {
    const key = this.contexts.pkey.get(context);
    this.#pks.pkrs.updateProtection(key, PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE);
  }

  /** check_ctx_switch */
  #checkSwitched(context: number): void {
    if (!this.#kernel.machine.features.pks) return;
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

/**
 * The test programme as a boot module (CONFIG_PKS_TESTING); needs pks-core.
 *
 * @example
 * const kernel = boot({ modules: [pksCore, pksTest] });
 * kernel.call(() => {
 *   const file = kernel.debugfs.open('x86/run_pks');
 *   file.write('0');
 *   return file.read();
 * }); // => 'PASS\n'
 */
export const pksTest: KernelModule<PksTest> = {
  name: 'pks-test',
  ...pksTestChoices,
  symbols: {
    'AccessTest.armedAndClear': 'pks_test_armed_and_clear',
    'AccessTest.run': 'test_mem_access',
    'PksTest.runAll': 'run_all',
    'PksTest.runTest': 'pks_run_test',
    'TestContexts.alloc': 'alloc_ctx',
    'TestContexts.free': 'free_ctx',
  },
  create: (kernel) => new PksTest(kernel, kernel.module(pksCore)),
};
