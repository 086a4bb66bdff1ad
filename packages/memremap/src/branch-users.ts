// SPDX-License-Identifier: MIT
// How users of a static branch are counted. [PATCH 09/17] memremap: Convert devmap static branch to {inc,dec}

import type { Kernel, StaticKey } from '@pkslab/kernel';
import type { Column } from '@pkslab/x86-cpu';

/** Users of a static branch, counted by the branch itself or by a counter of one's own before it (D-15). */
export class BranchUsers {
  readonly #key: StaticKey;
  /** Null where static_branch_inc and dec count. */
  readonly #counter: Column | null;

  constructor(kernel: Kernel, key: StaticKey, counterName: string) {
    this.#key = key;
    const own = kernel.choice('branchCounting') === 'atomicCounter';
    this.#counter = own
      ? kernel.machine.column({ name: counterName, type: 'i32', initial: 0, per: 'global' })
      : null;
  }

  /** With a counter of one's own, the second user does not wait for the first one's patching. */
  get(): void {
    if (this.#counter === null || this.#counter.add(0, 1) === 1) this.#key.inc();
  }

  put(): void {
    if (this.#counter === null || this.#counter.add(0, -1) === 0) this.#key.dec();
  }
}
