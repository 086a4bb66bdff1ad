// SPDX-License-Identifier: MIT
// The module: what boot puts into the kernel.

import type { Kernel, KernelModule, SymbolNames } from '@pkslab/kernel';
import { pksChoices } from './choices.ts';
import { KeyAllocator } from './key-allocator.ts';
import { type KeyCallbackChoice, KeyCallbacks } from './key-callbacks.ts';
import type { Keys } from './keys.ts';
import { PKS_NUM_KEYS } from './pkr.ts';
import { Pkrs } from './pkrs.ts';
import { isPksConfigured, isPksEnabled, pksConfig } from './pks-config.ts';
import { type StaticKeyNumbers, staticKeyNumbers } from './pks-keys.ts';
import { StaticKeys } from './static-keys.ts';
import { StubKeys } from './stub-keys.ts';
import { UserPkeys } from './user-pkeys.ts';
import { Verbs } from './verbs.ts';

/** Supervisor protection keys of one kernel. */
export interface Pks {
  readonly pkrs: Pkrs;
  readonly keys: Keys;
  /** The drivers' verbs, where the revision has them. */
  readonly verbs: Verbs;
  /** What consumers do about faults on their keys, where the revision asks them. */
  readonly callbacks: KeyCallbacks;
  /** PKRU, through the same helpers. */
  readonly user: UserPkeys;
  /** pks_enabled, pks_available: whether the CPU has PKS and the kernel uses it. */
  readonly enabled: boolean;
  /** pks_abandon_protections: opens a key for good in every thread; false where the revision cannot. V7 */
  abandonProtections(pkey: number): boolean;
}

/** What `reference` says at boot where nothing can be protected. */
function unprotectedText(kernel: Kernel): string {
  const why = isPksConfigured(kernel)
    ? 'this CPU has no supervisor protection keys'
    : 'supervisor protection keys are configured out';
  return `x86/pkeys: ${why}: nothing is protected`;
}

/** Constants, an allocator, or the stubs of one. */
function keysOf(kernel: Kernel, pkrs: Pkrs, numbers: StaticKeyNumbers): Keys {
  if (kernel.choice('keyAlloc') === 'static') return new StaticKeys(kernel, numbers);
  return isPksConfigured(kernel) ? new KeyAllocator(kernel, pkrs) : new StubKeys();
}

/**
 * C names. By whose design a function writes makes no difference to its name: events are found again by it when a
 * trace is tried with other choices.
 *
 * @param isRenamed as V9 and V10 name them
 */
function symbolsOf(isRenamed: boolean): SymbolNames {
  const write = isRenamed ? 'pks_write_pkrs' : 'write_pkrs';
  return {
    'AbandonedKeys.abandon': 'pks_abandon_protections',
    'Asserting.write': write,
    'GlobalGrants.change': 'update_global_pkrs',
    'KeyAllocator.alloc': 'pks_key_alloc',
    'KeyAllocator.free': 'pks_key_free',
    'KeyAllocator.showAllocated': 'pks_keys_allocated_show',
    'Pkrs.changeRights': 'pks_update_protection',
    'Pkrs.changeRightsGlobal': 'pks_update_protection',
    'Pkrs.schedIn': isRenamed ? 'x86_pkrs_load' : 'pks_sched_in',
    'Pkrs.setup': isRenamed ? 'pks_setup' : 'setup_pks',
    'Pkrs.updateException': 'pks_update_exception',
    'Pkrs.updateProtection': 'pks_update_protection',
    'SelfContained.write': write,
    'StaticKeys.alloc': 'pks_key_alloc',
    'UserPkeys.setUserPkeyAccess': 'arch_set_user_pkey_access',
    'Unconditional.write': write,
  };
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
  config: pksConfig,
  symbols: ({ verbs }) => symbolsOf(verbs === 'set'),
  create(kernel: Kernel): Pks {
    const { config } = kernel;
    const numbers = staticKeyNumbers(
      (name) => config.enabled(name),
      config.enabled('PKS_TEST_ALL_KEYS'),
    );
    const pkrs = new Pkrs(kernel, numbers);
    const isStatic = kernel.choice('keyAlloc') === 'static';
    const keys = keysOf(kernel, pkrs, numbers);
    pkrs.isAllocated = (pkey) => keys.isAllocated(pkey);
    const enabled = isPksEnabled(kernel);
    if (!enabled && kernel.choice('bootReport') === 'unprotected') {
      kernel.initcall('late', () => kernel.print(unprotectedText(kernel)));
    }
    return {
      pkrs,
      keys,
      verbs: new Verbs(kernel, pkrs),
      callbacks: new KeyCallbacks(
        kernel,
        isStatic ? numbers.max : PKS_NUM_KEYS,
        kernel.choice('keyCallbacks') as KeyCallbackChoice,
      ),
      user: new UserPkeys(kernel),
      enabled,
      abandonProtections: (pkey) => pkrs.abandoned.abandon(pkey),
    };
  },
};
