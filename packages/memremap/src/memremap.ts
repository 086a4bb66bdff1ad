// SPDX-License-Identifier: MIT
// The module: what boot puts into the kernel.

import type { Kernel, KernelModule } from '@pkslab/kernel';
import { pksCore } from '@pkslab/pks-core';
import { memremapChoices } from './choices.ts';
import { DevAccess } from './dev-access.ts';
import { Pagemaps } from './pagemap.ts';

/** Device memory of one kernel. */
export interface Memremap {
  readonly access: DevAccess;
  readonly pagemaps: Pagemaps;
}

/**
 * memremap as a boot module; needs pks-core.
 *
 * @example
 * const kernel = boot({ modules: [pksCore, memremap] });
 * kernel.call(() => kernel.debugfs.read('x86/pks_keys_allocated')); // => '0: kernel\n1: Device Memory\n'
 */
export const memremap: KernelModule<Memremap> = {
  name: 'memremap',
  ...memremapChoices,
  symbols: {
    'DevAccess.disable': 'dev_access_disable',
    'DevAccess.enable': 'dev_access_enable',
    'Pagemaps.memremapPages': 'memremap_pages',
    'Pagemaps.memunmapPages': 'memunmap_pages',
    'Pagemaps.pageIsAccessProtected': 'page_is_access_protected',
    '#protectionGet': 'dev_protection_enable_get',
  },
  create(kernel: Kernel): Memremap {
    const access = new DevAccess(kernel, kernel.module(pksCore));
    return { access, pagemaps: new Pagemaps(kernel, access) };
  },
};
