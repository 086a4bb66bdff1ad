// SPDX-License-Identifier: MIT
// The module: what boot puts into the kernel.

import type { Kernel, KernelModule } from '@pkslab/kernel';
import { pksChoices } from './choices.ts';
import { KeyAllocator } from './key-allocator.ts';
import { Pkrs } from './pkrs.ts';

/** Supervisor protection keys of one kernel. */
export interface Pks {
  readonly pkrs: Pkrs;
  readonly keys: KeyAllocator;
}

/**
 * pks-core as a boot module.
 *
 * @example
 * const kernel = boot({ modules: [pksCore] });
 * kernel.debugfs.read('x86/pks_keys_allocated'); // => '0: kernel\n'
 */
export const pksCore: KernelModule<Pks> = {
  name: 'pks-core',
  ...pksChoices,
  symbols: {
    'KeyAllocator.alloc': 'pks_key_alloc',
    'KeyAllocator.free': 'pks_key_free',
    'KeyAllocator.showAllocated': 'pks_keys_allocated_show',
    'Pkrs.changeRights': 'pks_update_protection',
    'Pkrs.schedIn': 'pks_sched_in',
    'Pkrs.setup': 'setup_pks',
    'Pkrs.updateProtection': 'pks_update_protection',
    'Pkrs.writePkrs': 'write_pkrs',
  },
  create(kernel: Kernel): Pks {
    const pkrs = new Pkrs(kernel);
    return { pkrs, keys: new KeyAllocator(kernel, pkrs) };
  },
};
