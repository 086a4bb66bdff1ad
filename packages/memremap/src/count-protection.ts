// SPDX-License-Identifier: MIT
// Other protections of the count than interrupts off: RFC V2's cover letter asks which is right.

import type { Kernel, SpinLock } from '@pkslab/kernel';
import { PKEY_DISABLE_ACCESS, type Pks } from '@pkslab/pks-core';
import { DevAccess, type Rights } from './dev-access.ts';

/**
 * Nothing protects the count: `if (!count++) open` and `if (!--count) close`, as V7 and V10 have it.
 *
 * The count is a plain C variable: a get and a set.
 */
export class UnprotectedCount extends DevAccess {
  override enable(rights: Rights = this.pkrs): number {
    if (!this.acts()) return 0;
    this.grantUpdate.begin();
    if (this.increment() === 1 || !this.nested) rights.changeRights(this.pkey, 0);
    this.grantUpdate.handOver(this.grant);
    return 0;
  }

  override disable(_cookie?: number, rights: Rights = this.pkrs): boolean {
    if (!this.acts()) return false;
    this.grant.handOver(this.grantUpdate);
    if (this.warns && this.readCount() === 0) {
      this.kernel.oops.warn(this.surplusText);
      this.grantUpdate.end();
      return false;
    }
    if (this.decrement() === 0 || !this.nested) {
      rights.changeRights(this.pkey, PKEY_DISABLE_ACCESS);
    }
    this.grantUpdate.end();
    return true;
  }

  protected increment(): number {
    const count = (this.readCount() + 1) >>> 0;
    this.writeCount(count);
    return count;
  }

  protected decrement(): number {
    const count = (this.readCount() - 1) >>> 0;
    this.writeCount(count);
    return count;
  }
}

/** atomic_inc_return and atomic_dec_return: each is one instruction, but count and key are still two. */
export class AtomicCount extends UnprotectedCount {
  protected override increment(): number {
    return this.ref.add(this.tasks.current, 1);
  }

  protected override decrement(): number {
    return this.ref.add(this.tasks.current, -1);
  }
}

/**
 * spin_lock_irq around count and rights: what is not kept out by interrupts off, such as an NMI with a
 * section of its own, waits for its own CPU for ever; and the unlock turns interrupts on for a caller that
 * had them off.
 */
export class SpinLockedCount extends UnprotectedCount {
  readonly #lock: SpinLock;

  constructor(kernel: Kernel, pks: Pks) {
    super(kernel, pks);
    this.#lock = kernel.spinLock('dev_page_access_lock');
  }

  override enable(rights: Rights = this.pkrs): number {
    this.machine.cli();
    this.#lock.lock();
    const cookie = super.enable(rights);
    this.#lock.unlock();
    this.machine.sti();
    return cookie;
  }

  override disable(cookie?: number, rights: Rights = this.pkrs): boolean {
    this.machine.cli();
    this.#lock.lock();
    const ended = super.disable(cookie, rights);
    this.#lock.unlock();
    this.machine.sti();
    return ended;
  }
}
