// SPDX-License-Identifier: MIT
// The module: what boot puts into the kernel.

import type { Kernel, KernelModule } from '@pkslab/kernel';
import { type Pks, pksCore } from '@pkslab/pks-core';
import { memremapChoices } from './choices.ts';
import { memremapConfig } from './config.ts';
import { AtomicCount, SpinLockedCount, UnprotectedCount } from './count-protection.ts';
import { DevAccess, grantVerbs } from './dev-access.ts';
import { Devres } from './devres.ts';
import { FaultMode } from './fault-mode.ts';
import { GlobalAccess } from './global-access.ts';
import { CookieAccess, PerCpuCount } from './grant-counting.ts';
import { Pagemaps } from './pagemap.ts';

/** Device memory of one kernel. */
export interface Memremap {
  readonly access: DevAccess;
  /** Grants to every task, of the one revision that has them. */
  readonly globalAccess: GlobalAccess;
  readonly pagemaps: Pagemaps;
  readonly devres: Devres;
}

const BY_PROTECTION = Object.freeze({
  localIrqSave: DevAccess,
  atomicCounter: AtomicCount,
  spinLockIrq: SpinLockedCount,
  none: UnprotectedCount,
});

const BY_COUNTING = Object.freeze({
  perCpuPreemptOff: PerCpuCount,
  perCpu: PerCpuCount,
  cookie: CookieAccess,
});

/** Grants as the revision counts and protects them. */
function createAccess(kernel: Kernel, pks: Pks): DevAccess {
  const counting = kernel.choice('grantCounting');
  const Access =
    counting === 'perTask'
      ? BY_PROTECTION[kernel.choice('countProtection') as keyof typeof BY_PROTECTION]
      : BY_COUNTING[counting as keyof typeof BY_COUNTING];
  return new Access(kernel, pks);
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
  config: memremapConfig,
  symbols: (choices) => {
    const { enable, disable } = grantVerbs(choices['grantVerbs'] as string);
    const of = (name: string): Record<string, string> => ({
      [`${name}.enable`]: enable,
      [`${name}.disable`]: disable,
    });
    const posted = choices['grantVerbs'] === 'devAccess';
    return {
      ...of('DevAccess'),
      ...of('AtomicCount'),
      ...of('SpinLockedCount'),
      ...of('UnprotectedCount'),
      ...of('PerCpuCount'),
      ...of('CookieAccess'),
      'GlobalAccess.enable': '',
      'GlobalAccess.disable': '',
      'GlobalAccess.changeRights': '',
      'Devres.addAction': 'devm_add_action_or_reset',
      'Devres.memremapPages': 'devm_memremap_pages',
      'Devres.releaseAll': 'devres_release_all',
      'Pagemaps.memremapPages': 'memremap_pages',
      'Pagemaps.memunmapPages': 'memunmap_pages',
      'Pagemaps.pageIsAccessProtected': posted ? 'page_is_access_protected' : 'devmap_protected',
      '#protectionGet': posted ? 'dev_protection_enable_get' : 'devmap_protection_enable',
      '#onFault': 'pgmap_pks_fault_callback',
    };
  },
  create(kernel: Kernel): Memremap {
    const pks = kernel.module(pksCore);
    const access = createAccess(kernel, pks);
    new FaultMode(kernel, pks, access);
    const pagemaps = new Pagemaps(kernel, access);
    return {
      access,
      globalAccess: new GlobalAccess(pks, access),
      pagemaps,
      devres: new Devres(kernel, pagemaps),
    };
  },
};
