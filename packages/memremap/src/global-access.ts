// SPDX-License-Identifier: MIT
// Grants to every task at once. RFC PKS/PMEM of 9 October 2020, on top of RFC V3 of the core series

import { type Kernel, Mark } from '@pkslab/kernel';
import { PKEY_DISABLE_ACCESS, type Pkrs, type Pks } from '@pkslab/pks-core';
import { type Column, type Machine, MarkWindow } from '@pkslab/x86-cpu';
import type { DevAccess } from './dev-access.ts';

/**
 * dev_access_enable(true) and dev_access_disable(true): what `kmap` of that series opens, because its
 * addresses are handed to other tasks.
 *
 * As posted, the one count of the calling task is shared with its local grants, and only 0 → 1 and 1 → 0 act:
 * a global grant inside a local one opens nothing to others, and what closes it is the last of either kind,
 * in its own scope (D-13).
 */
export class GlobalAccess {
  readonly #access: DevAccess;
  readonly #pkrs: Pkrs;
  readonly #machine: Machine;
  readonly #kernel: Kernel;
  readonly #ref: Column;
  readonly #grant: MarkWindow;
  readonly #grantUpdate: MarkWindow;

  constructor(kernel: Kernel, pks: Pks, access: DevAccess) {
    this.#access = access;
    this.#pkrs = pks.pkrs;
    this.#machine = kernel.machine;
    this.#kernel = kernel;
    this.#ref = access.ref;
    this.#grant = new MarkWindow(kernel.machine, Mark.grant);
    this.#grantUpdate = new MarkWindow(kernel.machine, Mark.grantUpdate);
  }

  enable(): void {
    if (!this.#access.branch.unlikely()) return;
    const { current } = this.#kernel.tasks;
    this.#grantUpdate.begin();
    const flags = this.#machine.pushfCli();
    const ref = this.#ref.get(current);
    if (ref === 0) this.#pkrs.changeRightsGlobal(this.#access.pkey, 0);
    this.#ref.set(current, (ref + 1) >>> 0);
    this.#machine.popfIf(flags);
    this.#grantUpdate.handOver(this.#grant);
  }

  disable(): void {
    if (!this.#access.branch.unlikely()) return;
    const { current } = this.#kernel.tasks;
    this.#grant.handOver(this.#grantUpdate);
    const flags = this.#machine.pushfCli();
    const ref = (this.#ref.get(current) - 1) >>> 0;
    this.#ref.set(current, ref);
    if (ref === 0) this.#pkrs.changeRightsGlobal(this.#access.pkey, PKEY_DISABLE_ACCESS);
    this.#machine.popfIf(flags);
    this.#grantUpdate.end();
  }
}
