// SPDX-License-Identifier: MIT
// Access around each touch of a device's memory: dax_set_readwrite, dax_set_noaccess. V7 to V10

import type { Kernel } from '@pkslab/kernel';
import { type DevAccess, memremap, type Pagemaps, PGMAP_PROT_ENABLED } from '@pkslab/memremap';
import { DAXDEV_ALIVE, type DaxDevice } from './device.ts';

/** Nothing where access is open as long as dax_read_lock is held. */
export class DaxGrant {
  /** Whether access is opened here, and not by dax_read_lock. */
  readonly perAccess: boolean;
  readonly #access: DevAccess;
  readonly #pagemaps: Pagemaps;
  readonly #byOperations: boolean;
  readonly #closeNeedsAlive: boolean;

  constructor(kernel: Kernel) {
    const { access, pagemaps } = kernel.module(memremap);
    this.#access = access;
    this.#pagemaps = pagemaps;
    this.perAccess = kernel.choice('daxGrant') === 'accessScope';
    this.#byOperations = kernel.choice('daxAccessBy') === 'operations';
    this.#closeNeedsAlive = kernel.choice('noaccessNeedsAlive') === 'yes';
  }

  /** dax_map_protected: alive, and its page map has the flag. */
  mapProtected(device: DaxDevice): boolean {
    return device.flag(DAXDEV_ALIVE) && this.#isFlagged(device);
  }

  /** dax_set_readwrite; dax_mk_readwrite in V7. */
  setReadwrite(device: DaxDevice): void {
    if (!this.perAccess || !this.mapProtected(device)) return;
    if (this.#byOperations) device.operations.mkReadwrite?.();
    else this.#access.enable();
  }

  /** dax_set_noaccess; dax_mk_noaccess in V7. */
  setNoaccess(device: DaxDevice): void {
    if (!this.perAccess) return;
    const closes = this.#closeNeedsAlive ? this.mapProtected(device) : this.#isFlagged(device);
    if (!closes) return;
    if (this.#byOperations) device.operations.mkNoaccess?.();
    else this.#access.disable();
  }

  #isFlagged(device: DaxDevice): boolean {
    if (this.#byOperations) return device.operations.mapProtected?.() ?? false;
    const pagemap = device.pagemap;
    return pagemap >= 0 && (this.#pagemaps.flags.get(pagemap) & PGMAP_PROT_ENABLED) !== 0;
  }
}
