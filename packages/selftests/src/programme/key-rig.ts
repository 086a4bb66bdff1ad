// SPDX-License-Identifier: MIT
// A page with a key of its own, and what the running context may do with it.

import type { Kernel } from '@pkslab/kernel';
import { PKEY_DISABLE_ACCESS, pksCore } from '@pkslab/pks-core';
import { FIXED_UP, IA32_PKRS, PAGE_SIZE } from '@pkslab/x86-cpu';
import { Output } from '../output.ts';

export class KeyRig {
  readonly kernel: Kernel;
  readonly key: number;
  /** Address of the page. */
  readonly page: number;
  /** What tasks and handlers found wrong. */
  readonly #output: Output;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.#output = new Output(kernel);
    const { keys } = kernel.module(pksCore);
    this.key = kernel.call(() => keys.forConsumer('selftest', 'test'));
    this.page = kernel.call(() => kernel.mm.vmalloc(PAGE_SIZE, { key: this.key, writable: true }));
  }

  /** What a register holds of a context that was given nothing. */
  get initValue(): number {
    return this.kernel.module(pksCore).pkrs.init.value;
  }

  get problems(): readonly string[] {
    return [...new Set(this.#output.lines)];
  }

  /** Notes a problem once, though the task may run again from its record. */
  check(holds: boolean, problem: string): void {
    if (!holds) this.#output.write(problem);
  }

  /** Gives the running context rights to the key: 0, or PKEY_DISABLE_… bits. */
  update(protection: number): void {
    this.kernel.module(pksCore).pkrs.updateProtection(this.key, protection);
  }

  open(): void {
    this.update(0);
  }

  close(): void {
    this.update(PKEY_DISABLE_ACCESS);
  }

  get readable(): boolean {
    return this.kernel.machine.tryLoad32(this.page) !== FIXED_UP;
  }

  get writable(): boolean {
    return !this.kernel.machine.tryStore32(this.page, 1);
  }

  get register(): number {
    return this.kernel.machine.rdmsr(IA32_PKRS);
  }

  /** What any context that was given nothing must find. */
  expectClosed(who: string): void {
    const value = this.register;
    this.check(value === this.initValue, `${who} finds PKRS 0x${value.toString(16)}`);
    this.check(!this.readable, `${who} can read the page`);
    this.check(!this.writable, `${who} can write the page`);
  }
}
