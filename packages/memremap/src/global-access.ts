// SPDX-License-Identifier: MIT
// Grants to every task at once. RFC PKS/PMEM of 9 October 2020, on top of RFC V3 of the core series

import type { Pkrs, Pks } from '@pkslab/pks-core';
import type { DevAccess, Rights } from './dev-access.ts';

/**
 * dev_access_enable(true) and dev_access_disable(true): what `kmap` of that series opens, because its
 * addresses are handed to other tasks.
 *
 * As posted, the one count of the calling task is shared with its local grants, and only 0 → 1 and 1 → 0 act:
 * a global grant inside a local one opens nothing to others, and what closes it is the last of either kind,
 * in its own scope (D-13).
 *
 * @example
 * const kernel = boot({ revision: 'rfc-v3', modules: [pksCore, memremap] });
 * const { globalAccess, pagemaps } = kernel.module(memremap);
 * const physical = 0x1_0000_0000;
 * kernel.machine.memory.addRegion(physical, 4096, { read() {}, write() {} });
 * const request = { physical, size: 4096, type: MemoryType.fsDax, flags: PGMAP_PROT_ENABLED };
 * const { address } = kernel.call(() => pagemaps.memremapPages(request));
 * let refused = true;
 * kernel.call(() => globalAccess.enable());
 * kernel.spawn('another', () => (refused = kernel.machine.tryStore32(address, 1)));
 * kernel.run();
 * refused; // => false
 */
export class GlobalAccess implements Rights {
  readonly #access: DevAccess;
  readonly #pkrs: Pkrs;

  constructor(pks: Pks, access: DevAccess) {
    this.#access = access;
    this.#pkrs = pks.pkrs;
  }

  enable(): void {
    this.#access.enable(this);
  }

  disable(): void {
    this.#access.disable(undefined, this);
  }

  /** pks_update_protection(pkey, protection, true) */
  changeRights(pkey: number, protection: number): void {
    this.#pkrs.changeRightsGlobal(pkey, protection);
  }
}
