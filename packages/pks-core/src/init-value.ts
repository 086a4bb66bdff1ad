// SPDX-License-Identifier: MIT
// What the register of a CPU and of a new program starts with: a constant, or V7's variable (D-17).

import type { Kernel } from '@pkslab/kernel';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import { INIT_PKRS_VALUE, PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE } from './pkr.ts';
import type { StaticKeyNumbers } from './pks-keys.ts';

/** pkrs_init_value: 0 until the early initcall has computed it. V7 */
const initValueField: FieldDefinition = {
  name: 'pkrs_init_value',
  type: 'u32',
  initial: 0,
  per: 'global',
};

/** Where the value is: in the code, or in a cell. */
export class InitValue {
  /** What it is once the kernel has booted. */
  readonly value: number;
  /** PKEY_DISABLE_ACCESS as the register has it: with PKEY_DISABLE_WRITE where AND of two values must never grant (D-61). */
  readonly noAccess: number;
  readonly #cell: Column | null;

  constructor(kernel: Kernel, saved: Column, numbers: StaticKeyNumbers) {
    const both = PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE;
    this.noAccess = kernel.choice('noAccess') === '11b' ? both : PKEY_DISABLE_ACCESS;
    const isStatic = kernel.choice('keyAlloc') === 'static';
    const posted = isStatic ? numbers.initValue : INIT_PKRS_VALUE;
    // Every posted pair is 00b or 01b, so that this is each pair by itself.
    this.value = (posted * this.noAccess) >>> 0;
    saved.values.fill(this.value);
    this.#cell = null;
    if (kernel.choice('initValue') !== 'earlyInitcall') return;
    const cell = kernel.machine.column(initValueField);
    this.#cell = cell;
    // init_task and the idle tasks are copies of it from before the initcall; programs came by exec.
    saved.values.fill(0, 0, kernel.machine.cpus.length);
    kernel.initcall('early', () => cell.set(0, this.value));
  }

  /** The bits of a pair in the register for a protection. */
  encode(protection: number): number {
    return (protection & PKEY_DISABLE_ACCESS) === 0 ? protection : protection | this.noAccess;
  }

  /** As kernel code reads it now. */
  read(): number {
    return this.#cell === null ? this.value : this.#cell.get(0);
  }
}
