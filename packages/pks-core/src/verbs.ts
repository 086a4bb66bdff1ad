// SPDX-License-Identifier: MIT
// The verbs that hide PKEY_DISABLE_… from drivers, under the names that each revision gave them.

import { EOPNOTSUPP, type Kernel, KernelError } from '@pkslab/kernel';
import { PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE, PKEY_READ_WRITE } from './pkr.ts';
import type { Pkrs } from './pkrs.ts';
import { isPksConfigured } from './pks-config.ts';

/** Which verbs a revision has; `update` is pks_update_protection alone. */
export type VerbsChoice = 'update' | 'mk' | 'mk_' | 'set';

/** Each throws {@link KernelError} EOPNOTSUPP in a revision that does not have it. */
export class Verbs {
  readonly #kernel: Kernel;
  readonly #pkrs: Pkrs;
  readonly #have: string;
  readonly #configured: boolean;

  constructor(kernel: Kernel, pkrs: Pkrs) {
    this.#kernel = kernel;
    this.#pkrs = pkrs;
    this.#have = kernel.choice('verbs');
    this.#configured = isPksConfigured(kernel);
  }

  /** pks_mknoaccess. RFC V3; `global` is the RFC PKS/PMEM series' */
  mknoaccess(pkey: number, global = false): void {
    this.#update('pks_mknoaccess', 'mk', pkey, PKEY_DISABLE_ACCESS, global);
  }

  /** pks_mkread. RFC V3 */
  mkread(pkey: number, global = false): void {
    this.#update('pks_mkread', 'mk', pkey, PKEY_DISABLE_WRITE, global);
  }

  /** pks_mkrdwr. RFC V3 */
  mkrdwr(pkey: number, global = false): void {
    this.#update('pks_mkrdwr', 'mk', pkey, PKEY_READ_WRITE, global);
  }

  /** pks_mk_noaccess. V1 to V8 */
  mkNoaccess(pkey: number): void {
    this.#update('pks_mk_noaccess', 'mk_', pkey, PKEY_DISABLE_ACCESS);
  }

  /** pks_mk_readonly. V1 to V7: dropped in V8, which has no user of it */
  mkReadonly(pkey: number): void {
    this.#update('pks_mk_readonly', 'mk_', pkey, PKEY_DISABLE_WRITE);
  }

  /** pks_mk_readwrite. V1 to V8 */
  mkReadwrite(pkey: number): void {
    this.#update('pks_mk_readwrite', 'mk_', pkey, PKEY_READ_WRITE);
  }

  /** pks_set_noaccess. V9, V10 */
  setNoaccess(pkey: number): void {
    this.#update('pks_set_noaccess', 'set', pkey, PKEY_DISABLE_ACCESS);
  }

  /** pks_set_readwrite. V9, V10 */
  setReadwrite(pkey: number): void {
    this.#update('pks_set_readwrite', 'set', pkey, PKEY_READ_WRITE);
  }

  #update(
    name: string,
    family: VerbsChoice,
    pkey: number,
    protection: number,
    global = false,
  ): void {
    if (family !== this.#have) {
      throw new KernelError(
        EOPNOTSUPP,
        `${name}: ${this.#kernel.revision} does not have it: pks_update_protection (pkrs.updateProtection) is in every revision`,
      );
    }
    // Nothing without the feature: the callers of later revisions do not ask first.
    if (this.#configured && !this.#kernel.machine.features.pks) return;
    if (global && this.#configured) this.#pkrs.changeRightsGlobal(pkey, protection);
    else this.#pkrs.updateProtection(pkey, protection);
  }
}
