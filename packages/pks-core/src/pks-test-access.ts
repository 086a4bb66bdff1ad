// SPDX-License-Identifier: MIT
// test_mem_access: a page of a key of its own, and which accesses to it fault under which rights. [PATCH 08/17]

import { EFAULT, ENOMEM, type Kernel, type Regs, type SpinLock } from '@pkslab/kernel';
import { type Column, type FieldDefinition, PAGE_SIZE } from '@pkslab/x86-cpu';
import { lookupAddress, pteFlagsPkey } from './lookup-address.ts';
import { PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE } from './pkr.ts';
import type { Pks } from './pks.ts';
import type { TestContexts } from './pks-test-context.ts';

/** test_armed_key: the key whose next fault is expected; 0 while none is. */
export const testArmedKeyField: FieldDefinition = {
  name: 'test_armed_key',
  type: 'i32',
  initial: 0,
  per: 'global',
};
/** fault_cnt: expected faults so far. */
export const faultCountField: FieldDefinition = {
  name: 'fault_cnt',
  type: 'i32',
  initial: 0,
  per: 'global',
};
const previousCountField: FieldDefinition = {
  name: 'prev_cnt',
  type: 'i32',
  initial: 0,
  per: 'global',
};

/** A row of the access table: rights, an access, and whether it is to fault. */
interface AccessRow {
  readonly ad: boolean;
  readonly wd: boolean;
  readonly write: boolean;
  readonly exception: boolean;
}

/** The rows in the order in which they run. */
export const ACCESS_ROWS: readonly AccessRow[] = Object.freeze([
  { ad: true, wd: true, write: true, exception: true },
  { ad: true, wd: true, write: false, exception: true },
  { ad: false, wd: false, write: true, exception: false },
  { ad: false, wd: false, write: false, exception: false },
  { ad: false, wd: true, write: true, exception: true },
  { ad: false, wd: true, write: false, exception: false },
]);

/** Bytes that a row copies. */
const COPIED = 8;

/** Who lets an expected fault through: the calling thread's rights, or those of the context that faulted. */
export type TestHandler = 'thread' | 'exception';

export class AccessTest {
  readonly #kernel: Kernel;
  readonly #pks: Pks;
  readonly #contexts: TestContexts;
  readonly #lock: SpinLock;
  readonly #armedKey: Column;
  readonly #faults: Column;
  readonly #previous: Column;
  readonly #handler: TestHandler;

  constructor(kernel: Kernel, pks: Pks, contexts: TestContexts) {
    const { machine } = kernel;
    this.#kernel = kernel;
    this.#pks = pks;
    this.#contexts = contexts;
    this.#lock = kernel.spinLock('test_lock');
    this.#armedKey = machine.column(testArmedKeyField);
    this.#faults = machine.column(faultCountField);
    this.#previous = machine.column(previousCountField);
    this.#handler = kernel.choice('testHandler') as TestHandler;
  }

  /**
   * pks_test_armed_and_clear: whether a key fault is one that a test expects; it then opens the armed key.
   *
   * It looks neither at the address nor at the key of the page, nor at who faulted where.
   */
  armedAndClear(regs: Regs): boolean {
    const key = this.#armedKey.get(0);
    if (key === 0) return false;
    if (this.#handler === 'thread') this.#pks.pkrs.updateProtection(key, 0);
    else this.#pks.pkrs.updateException(regs.state, key, 0);
    this.#faults.set(0, this.#faults.get(0) + 1);
    return true;
  }

  /** test_mem_access: 0 or a negative errno. The thread is left with the key readable. */
  run(context: number): number {
    const key = this.#contexts.pkey.get(context);
    const address = this.#kernel.mm.tryVmalloc(PAGE_SIZE, { key, writable: true });
    if (address === 0) {
      this.#kernel.print('Failed to vmalloc page???');
      return -ENOMEM;
    }
    const result = this.#checkPage(context, key, address);
    this.#kernel.mm.vfree(address, PAGE_SIZE);
    return result;
  }

  #checkPage(context: number, key: number, address: number): number {
    const flags = lookupAddress(this.#kernel, address);
    if (flags === null) {
      this.#kernel.print('Failed to walk table???');
      return -EFAULT;
    }
    const found = pteFlagsPkey(flags);
    this.#kernel.print(`page 0x${hex(address)}; flags 0x${flags.toString(16)}`);
    this.#kernel.print(`ptep flags 0x${flags.toString(16)} pkey ${found}`);
    if (found !== key) {
      this.#kernel.print(`invalid pkey found: ${found}, test_pkey: ${key}`);
      return -EFAULT;
    }
    if (this.#contexts.pksCpuEnabled.get(context) === 0) {
      this.#kernel.print('not CPU enabled; skipping access tests...');
      return 0;
    }
    let result = 0;
    for (const row of ACCESS_ROWS) {
      if (!this.#testRow(row, key, address, this.#contexts.data.get(context))) result = -EFAULT;
    }
    return result;
  }

  /** One row: whether it went as expected. */
  #testRow(row: AccessRow, key: number, page: number, data: number): boolean {
    const { ad, wd, write, exception } = row;
    const rights = (ad ? PKEY_DISABLE_ACCESS : 0) | (wd ? PKEY_DISABLE_WRITE : 0);
    this.#pks.pkrs.updateProtection(key, rights);
    // Interrupts stay on: an entry's effect on the register is part of what the row sees.
    this.#lock.lock();
    this.#armedKey.set(0, key);
    if (write) this.#kernel.machine.copy(page, data, COPIED);
    else this.#kernel.machine.copy(data, page, COPIED);
    const caught = this.#exceptionCaught();
    this.#armedKey.set(0, 0);
    this.#lock.unlock();
    if (caught === exception) return true;
    this.#kernel.print(
      `pkey test FAILED: ad ${Number(ad)}; wd ${Number(wd)}; write ${truth(write)}; exception ${truth(exception)} != ${truth(caught)}`,
    );
    return false;
  }

  /** exception_caught: whether an expected fault came since the last call. */
  #exceptionCaught(): boolean {
    const faults = this.#faults.get(0);
    const caught = faults !== this.#previous.get(0);
    this.#previous.set(0, faults);
    return caught;
  }
}

function hex(address: number): string {
  return BigInt.asUintN(64, BigInt(address)).toString(16);
}

/** As the programme writes a bool. */
export function truth(value: boolean): 'TRUE' | 'FALSE' {
  return value ? 'TRUE' : 'FALSE';
}
