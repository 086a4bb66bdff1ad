// SPDX-License-Identifier: MIT
// dax_read_lock: while it is held devices stay, and device memory may be touched. [PATCH 14/17] dax: Stray
// write protection for dax_direct_access()

import type { Kernel, Srcu } from '@pkslab/kernel';
import { type DevAccess, memremap } from '@pkslab/memremap';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import type { DaxUnlockOrder } from './choices.ts';

/** What lockdep knows: how many times a task holds the lock. */
const heldField: FieldDefinition = {
  name: 'task.dax_srcu_held',
  type: 'i32',
  initial: 0,
  per: 'task',
};

export class DaxLock {
  readonly #kernel: Kernel;
  readonly #access: DevAccess;
  readonly #srcu: Srcu;
  readonly #held: Column;
  readonly #grants: boolean;
  readonly #unlock: (id: number) => void;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#access = kernel.module(memremap).access;
    this.#srcu = kernel.srcu('dax_srcu');
    this.#held = kernel.machine.column(heldField);
    this.#grants =
      kernel.choice('daxLockGrant') === 'on' && kernel.choice('daxGrant') === 'lockScope';
    const unlock: Readonly<Record<DaxUnlockOrder, (id: number) => void>> = {
      posted: (id) => this.#unlockPosted(id),
      mirrored: (id) => this.#unlockMirrored(id),
    };
    this.#unlock = unlock[kernel.choice('daxUnlockOrder') as DaxUnlockOrder];
  }

  readLock(): number {
    if (this.#grants) this.#access.enable();
    const id = this.#srcu.readLock();
    this.#held.add(this.#kernel.tasks.current, 1);
    return id;
  }

  readUnlock(id: number): void {
    this.#held.add(this.#kernel.tasks.current, -1);
    this.#unlock(id);
  }

  #unlockPosted(id: number): void {
    if (this.#grants) this.#access.disable();
    this.#srcu.readUnlock(id);
  }

  #unlockMirrored(id: number): void {
    this.#srcu.readUnlock(id);
    if (this.#grants) this.#access.disable();
  }

  /** srcu_read_lock_held, of the calling task. */
  get held(): boolean {
    return this.#held.get(this.#kernel.tasks.current) > 0;
  }

  /** Returns once everybody who holds the lock now has let go of it. */
  synchronize(): void {
    this.#srcu.synchronize();
  }
}
