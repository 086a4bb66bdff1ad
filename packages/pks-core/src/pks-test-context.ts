// SPDX-License-Identifier: MIT
// struct pks_test_ctx: one run of the tests, with a key of its own. [PATCH 08/17] x86/pks: Add PKS Test code

import { type Kernel, PAGE_OFFSET } from '@pkslab/kernel';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import type { Pks } from './pks.ts';

/** Contexts at a time: more than there are keys. */
const CONTEXTS_MAX = 32;

/** What a context's data is filled with: "DEADBEEF", little-endian. */
const DEADBEEF = 0x4645_4542_4441_4544n;

function contextField(name: string, type: FieldDefinition['type']): FieldDefinition {
  return { name: `pks_test_ctx.${name}`, type, initial: 0, per: 'object', count: CONTEXTS_MAX };
}

const usedField: FieldDefinition = contextField('used', 'bool');
const dataField: FieldDefinition = contextField('data', 'address');

/** ctx->pass */
export const testPassField: FieldDefinition = contextField('pass', 'bool');
/** ctx->pks_cpu_enabled */
export const testCpuEnabledField: FieldDefinition = contextField('pks_cpu_enabled', 'bool');
/** ctx->pkey */
export const testPkeyField: FieldDefinition = contextField('pkey', 'i32');

/** The contexts of a kernel; one is named by its index. */
export class TestContexts {
  readonly pass: Column;
  readonly pkey: Column;
  /** Address of the data, a page of RAM. */
  readonly data: Column;
  readonly pksCpuEnabled: Column;
  readonly #kernel: Kernel;
  readonly #pks: Pks;
  readonly #used: Column;

  constructor(kernel: Kernel, pks: Pks) {
    const { machine } = kernel;
    this.#kernel = kernel;
    this.#pks = pks;
    this.#used = machine.column(usedField);
    this.pass = machine.column(testPassField);
    this.pkey = machine.column(testPkeyField);
    this.data = machine.column(dataField);
    this.pksCpuEnabled = machine.column(testCpuEnabledField);
  }

  /** alloc_ctx: a context whose test has not passed yet, or −1 without memory or key. */
  alloc(name: string): number {
    const context = this.#kzalloc();
    if (context >= 0) {
      const pkey = this.#pks.keys.forConsumer(name, 'test');
      if (pkey > 0) {
        this.pkey.set(context, pkey);
        this.pksCpuEnabled.set(context, this.#pks.enabled ? 1 : 0);
        this.#kernel.machine.store64(this.data.get(context), DEADBEEF);
        return context;
      }
      this.#kfree(context);
    }
    this.#kernel.print('Failed to allocate memory for test context');
    return -1;
  }

  /** free_ctx */
  free(context: number): void {
    if (!this.#pks.keys.isStatic) this.#pks.keys.free(this.pkey.get(context));
    this.#kfree(context);
  }

  #kzalloc(): number {
    const frame = this.#kernel.mm.tryAllocPage();
    if (frame < 0) return -1;
    for (let context = 0; context < CONTEXTS_MAX; context++) {
      if (this.#used.exchange(context, 1) !== 0) continue;
      this.pass.set(context, 0);
      this.data.set(context, this.#kernel.mm.directAddress(frame));
      return context;
    }
    this.#kernel.mm.freePage(frame);
    return -1;
  }

  #kfree(context: number): void {
    this.#kernel.mm.freePage(this.data.get(context) - PAGE_OFFSET);
    this.#used.set(context, 0);
  }
}
