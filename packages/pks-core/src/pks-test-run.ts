// SPDX-License-Identifier: MIT
// What the rewritten test programme checks, one function for each command. V7 to V10, lib/pks/pks_test.c

import { EFAULT, ENOMEM, ENXIO, type Kernel, type Regs, type SpinLock } from '@pkslab/kernel';
import { type Column, type FieldDefinition, IA32_PKRS, PAGE_SIZE } from '@pkslab/x86-cpu';
import { keyOfAddress } from './lookup-address.ts';
import { PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE, PKEY_READ_WRITE, pkrPair } from './pkr.ts';
import type { Pks } from './pks.ts';
import { truth } from './pks-test-access.ts';

const COPIED = 8;
const DEADBEEF = 0x4645_4542_4441_4544n;

/** What the fault callback does for the test that runs. */
const Handling = { none: 0, open: 1, validate: 2, update: 3, abandon: 4 } as const;

const cell = (name: string, type: FieldDefinition['type']): FieldDefinition => ({
  name: `pks_test.${name}`,
  type,
  initial: 0,
  per: 'global',
});
/** g_ctx_under_test: its key, and what is expected of the callback. */
const keyField = cell('pkey', 'u8');
const handlingField = cell('handling', 'u8');
const faultSeenField = cell('fault_seen', 'bool');
const passField = cell('pass', 'bool');

/** A page of the tested key, and a buffer to copy from and to. */
export interface TestPage {
  readonly page: number;
  readonly data: number;
}

interface AccessRow {
  readonly mode: 'No Access' | 'Read Write';
  readonly write: boolean;
  readonly fault: boolean;
}

const ROWS: readonly AccessRow[] = Object.freeze([
  { mode: 'No Access', write: true, fault: true },
  { mode: 'No Access', write: false, fault: true },
  { mode: 'Read Write', write: true, fault: false },
  { mode: 'Read Write', write: false, fault: false },
]);

/** The commands' bodies; each gives whether it passed. */
export class PksTestRun {
  readonly #kernel: Kernel;
  readonly #pks: Pks;
  readonly #key: Column;
  readonly #handling: Column;
  readonly #faultSeen: Column;
  readonly #pass: Column;
  /** test_lock of V7's abandon test. */
  readonly #lock: SpinLock;

  constructor(kernel: Kernel, pks: Pks) {
    this.#kernel = kernel;
    this.#pks = pks;
    this.#key = kernel.machine.column(keyField);
    this.#handling = kernel.machine.column(handlingField);
    this.#faultSeen = kernel.machine.column(faultSeenField);
    this.#pass = kernel.machine.column(passField);
    this.#lock = kernel.spinLock('pks_test.test_lock');
  }

  /** pks_test_fault_callback: only while a test runs, and then for its key. */
  readonly callback = (regs: Regs): boolean => {
    const handling = this.#handling.get(0);
    if (handling === Handling.none) return false;
    const { pkrs } = this.#pks;
    const pkey = this.#key.get(0);
    if (handling === Handling.validate) this.#validate(regs, pkey);
    if (handling === Handling.abandon) this.#pks.abandonProtections(pkey);
    else if (handling === Handling.update) pkrs.updateException(regs.state, pkey, PKEY_READ_WRITE);
    // The frame's own value, edited.
    else pkrs.setInterrupted(regs.state, pkey, PKEY_READ_WRITE);
    this.#faultSeen.set(0, 1);
    return true;
  };

  /** validate_exception: what a handler finds, and may change without harm to the thread. */
  #validate(regs: Regs, pkey: number): void {
    const { pkrs } = this.#pks;
    const aux = regs.state.words[pkrs.entryWord] as number;
    if (pkrPair(aux, pkey) !== PKEY_DISABLE_WRITE) {
      this.#fail('FAIL: checking aux_pt_regs->thread_pkrs');
    }
    const closed = pkrs.init.noAccess;
    if (!this.#registersAre(pkey, closed)) this.#fail('FAIL: PKRS cache and MSR');
    this.#set(pkey, PKEY_READ_WRITE);
    if (!this.#registersAre(pkey, PKEY_READ_WRITE)) {
      this.#fail('FAIL: exception did not change register to 0');
    }
    this.#set(pkey, PKEY_DISABLE_ACCESS);
    if (!this.#registersAre(pkey, closed)) {
      this.#fail(`FAIL: exception did not change register to 0x${closed}`);
    }
  }

  #fail(line: string): void {
    this.#kernel.print(line);
    this.#pass.set(0, 0);
  }

  /** pks_set_readwrite, pks_set_noaccess, by whatever name the revision has for them. */
  #set(pkey: number, protection: number): void {
    this.#pks.pkrs.updateProtection(pkey, protection);
  }

  /** check_pkrs: cache and register agree on a key's pair. */
  #registersAre(pkey: number, expected: number): boolean {
    const cached = pkrPair(this.#pks.pkrs.cache.read(), pkey);
    const msr = pkrPair(this.#kernel.machine.rdmsr(IA32_PKRS), pkey);
    return cached === expected && msr === expected;
  }

  /** alloc_ctx: a page of the key and its data; null without memory. */
  alloc(pkey: number): TestPage | null {
    const { mm, machine } = this.#kernel;
    const frame = mm.tryAllocPage();
    if (frame < 0) return null;
    const page = mm.tryVmalloc(PAGE_SIZE, { key: pkey, writable: true });
    if (page === 0) {
      mm.freePage(frame);
      return null;
    }
    const data = mm.directAddress(frame);
    machine.store64(data, DEADBEEF);
    return { page, data };
  }

  /** free_ctx */
  free({ page, data }: TestPage): void {
    const { mm } = this.#kernel;
    mm.vfree(page, PAGE_SIZE);
    mm.freePage(data - mm.directAddress(0));
  }

  /** CHECK_DEFAULTS */
  checkDefaults(): boolean {
    const { machine, smp } = this.#kernel;
    const expected = this.#pks.pkrs.init.value;
    let pass = true;
    for (const { index } of machine.cpus) {
      const value = smp.rdmsrOnCpu(index, IA32_PKRS);
      if (value === expected || value === -ENXIO) continue;
      this.#kernel.print(
        `cpu ${index} value incorrect : 0x${value.toString(16)} expected 0x${expected.toString(16)}`,
      );
      pass = false;
    }
    return pass;
  }

  /** RUN_SINGLE: 0 or a negative errno. */
  single(pkey: number): number {
    const test = this.alloc(pkey);
    if (test === null) return -ENOMEM;
    let result = keyOfAddress(this.#kernel, test.page) === pkey ? 0 : -EFAULT;
    if (result !== 0) this.#kernel.print(`invalid pkey found: test_pkey: ${pkey}`);
    for (const row of ROWS) {
      const rights = row.mode === 'No Access' ? PKEY_DISABLE_ACCESS : PKEY_READ_WRITE;
      this.#set(pkey, rights);
      const seen = this.#access(pkey, test, row.write, Handling.open);
      if (seen === row.fault) continue;
      this.#kernel.print(
        `pkey test FAILED: mode ${row.mode}; write ${truth(row.write)}; fault ${truth(row.fault)} != ${truth(seen)}`,
      );
      result = -EFAULT;
    }
    this.#set(pkey, PKEY_DISABLE_ACCESS);
    this.free(test);
    return result;
  }

  /** Copies under an armed callback; whether it was called. */
  #access(pkey: number, { page, data }: TestPage, write: boolean, handling: number): boolean {
    this.#key.set(0, pkey);
    this.#faultSeen.set(0, 0);
    this.#handling.set(0, handling);
    if (write) this.#kernel.machine.copy(page, data, COPIED);
    else this.#kernel.machine.copy(data, page, COPIED);
    this.#handling.set(0, Handling.none);
    return this.#faultSeen.get(0) !== 0;
  }

  /** RUN_EXCEPTION: the handler has rights of its own, and the thread has what the handler left in its frame. */
  exception(pkey: number): number {
    const test = this.alloc(pkey);
    if (test === null) return -ENOMEM;
    this.#pass.set(0, 1);
    this.#set(pkey, PKEY_DISABLE_WRITE);
    if (!this.#access(pkey, test, true, Handling.validate)) {
      this.#fail('FAIL: did not get an exception');
    }
    const { pkrs } = this.#pks;
    const thread = pkrs.saved.get(this.#kernel.tasks.current);
    if (pkrPair(thread, pkey) !== PKEY_READ_WRITE || !this.#registersAre(pkey, PKEY_READ_WRITE)) {
      this.#fail('FAIL: PKRS not restored');
    }
    this.#set(pkey, PKEY_DISABLE_ACCESS);
    this.free(test);
    return this.#pass.get(0) !== 0 ? 0 : -EFAULT;
  }

  /** RUN_EXCEPTION_UPDATE: pks_update_exception in the callback lasts for the thread. V8 to V10 */
  exceptionUpdate(pkey: number): number {
    return this.#twoWrites(pkey, Handling.update);
  }

  /** V7's test of pks_abandon_protections: it sleeps with a spinlock held (D-45), and the key stays open for ever. */
  abandon(pkey: number): number {
    this.#lock.lock();
    const result = this.#twoWrites(pkey, Handling.abandon);
    // msleep: gives the CPU away.
    this.#kernel.sched.schedule();
    this.#lock.unlock();
    return result;
  }

  #twoWrites(pkey: number, handling: number): number {
    const test = this.alloc(pkey);
    if (test === null) return -ENOMEM;
    this.#set(pkey, PKEY_DISABLE_ACCESS);
    let result = 0;
    if (!this.#access(pkey, test, true, handling)) {
      this.#kernel.print('Failed to see the callback');
      result = -EFAULT;
    }
    if (this.#access(pkey, test, true, Handling.open)) {
      this.#kernel.print(`Pkey ${pkey} failed to be set RD/WR in the callback`);
      result = -EFAULT;
    }
    this.#set(pkey, PKEY_DISABLE_ACCESS);
    this.free(test);
    return result;
  }

  /** ARM_CTX_SWITCH: the thread has the key open, which is not what it starts with. */
  arm(pkey: number): void {
    this.#set(pkey, PKEY_READ_WRITE);
  }

  /** CHECK_CTX_SWITCH */
  checkSwitched(pkey: number): boolean {
    const value = this.#kernel.machine.rdmsr(IA32_PKRS);
    const pair = pkrPair(value, pkey);
    if (pair === PKEY_READ_WRITE) return true;
    this.#kernel.print(
      `Context switch check failed: pkey ${pkey}: 0x${pair.toString(16)} reg: 0x${value.toString(16)}`,
    );
    return false;
  }

  /** RUN_CRASH_TEST, armed: nobody expects the fault, so that it ends the task. */
  crash({ page, data }: TestPage): void {
    this.#kernel.machine.copy(page, data, COPIED);
  }
}
