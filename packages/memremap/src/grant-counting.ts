// SPDX-License-Identifier: MIT
// Other places for what lets grants nest than a count in the task: designs that the reviews discussed (D-05,
// D-58), and that were not taken.

import type { Kernel } from '@pkslab/kernel';
import { PKEY_DISABLE_ACCESS, type Pks } from '@pkslab/pks-core';
import { type FieldDefinition, PerCpu } from '@pkslab/x86-cpu';
import { UnprotectedCount } from './count-protection.ts';
import { DevAccess, type Rights } from './dev-access.ts';

/** dev_pagemap.prot_count of each CPU, as one for the one key. */
const perCpuCountField: FieldDefinition = {
  name: 'pgmap_prot_cpu_count',
  type: 'u32',
  initial: 0,
  per: 'cpu',
};

/**
 * A count in each CPU (D-58), which a task must not leave while it has a section: preemption is off in it,
 * so nothing there may sleep. Without that the CPU's next task works with the count of another's section.
 */
export class PerCpuCount extends UnprotectedCount {
  readonly #count: PerCpu;
  readonly #preemptOff: boolean;

  constructor(kernel: Kernel, pks: Pks) {
    super(kernel, pks, perCpuCountField);
    this.#count = new PerCpu(this.ref);
    this.#preemptOff = kernel.choice('grantCounting') === 'perCpuPreemptOff';
  }

  override enable(rights: Rights = this.pkrs): number {
    if (this.#preemptOff) this.kernel.preempt.disable();
    return super.enable(rights);
  }

  override disable(cookie?: number, rights: Rights = this.pkrs): boolean {
    const ended = super.disable(cookie, rights);
    if (this.#preemptOff) this.kernel.preempt.enable();
    return ended;
  }

  protected override readCount(): number {
    return this.#count.read();
  }

  protected override writeCount(count: number): void {
    this.#count.write(count);
  }

  /** this_cpu_inc_return: on whichever CPU the instruction runs. */
  protected override increment(): number {
    return this.#count.add(1);
  }

  protected override decrement(): number {
    return this.#count.add(-1);
  }
}

/**
 * current_pkey_save and current_pkey_restore (D-05): no count at all; enable returns the rights that it
 * found, and disable takes them back. Who has no place for them, as kunmap, closes the outer section too.
 */
export class CookieAccess extends DevAccess {
  override enable(rights: Rights = this.pkrs): number {
    if (!this.acts()) return 0;
    this.grantUpdate.begin();
    const cookie = (this.pkrs.saved.get(this.tasks.current) >>> (2 * this.pkey)) & 0b11;
    rights.changeRights(this.pkey, 0);
    this.grantUpdate.handOver(this.grant);
    return cookie;
  }

  override disable(cookie: number = PKEY_DISABLE_ACCESS, rights: Rights = this.pkrs): boolean {
    if (!this.acts()) return false;
    this.grant.handOver(this.grantUpdate);
    rights.changeRights(this.pkey, cookie);
    this.grantUpdate.end();
    return true;
  }
}
