// SPDX-License-Identifier: MIT
// The user half of patches 01 and 02: PKRU through the same helpers as PKRS. arch/x86/kernel/fpu/xstate.c

import { EINVAL, type Kernel } from '@pkslab/kernel';
import { CR4_PKE, type Machine } from '@pkslab/x86-cpu';
import { getNewPkr, INIT_PKRS_VALUE, PKS_NUM_KEYS } from './pkr.ts';

/** Protection keys of user pages, for the register of the executing CPU. */
export class UserPkeys {
  readonly #kernel: Kernel;
  readonly #machine: Machine;
  /** X86_FEATURE_PKU, of the CPU and of the build. */
  readonly #present: boolean;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#machine = kernel.machine;
    this.#present =
      this.#machine.features.pku && kernel.config.enabled('X86_INTEL_MEMORY_PROTECTION_KEYS');
  }

  /** X86_FEATURE_OSPKE: whether the kernel has turned them on. */
  get enabled(): boolean {
    return this.#present && (this.#machine.readCr(4) & CR4_PKE) !== 0;
  }

  /**
   * setup_pku: CR4.PKE, and init_pkru_value (all keys but 0 without access) in PKRU.
   *
   * The simulated kernel does not call it at boot; call it in a scenario of user pages.
   */
  setup(): void {
    if (!this.#present) return;
    this.#machine.writeCr(4, this.#machine.readCr(4) | CR4_PKE);
    this.writePkru(INIT_PKRS_VALUE);
  }

  /** read_pkru: 0 where user keys are off. */
  readPkru(): number {
    return this.enabled ? this.#machine.rdpkru() : 0;
  }

  /** write_pkru: nothing where user keys are off, or where the value is there already. */
  writePkru(value: number): void {
    if (this.enabled && this.readPkru() !== value) this.#machine.wrpkru(value);
  }

  /**
   * arch_set_user_pkey_access: the calling task's rights to pages of a user key; 0, or −EINVAL where user keys are
   * off, and with a WARN for a key past 15. [PATCH 02/17] x86/fpu: Refactor arch_set_user_pkey_access()
   *
   * @param initVal PKEY_DISABLE_ACCESS and PKEY_DISABLE_WRITE or-ed together, or 0
   * @example
   * const kernel = boot({ modules: [pksCore] });
   * const { user } = kernel.module(pksCore);
   * kernel.call(() => user.setup());
   * kernel.call(() => user.setUserPkeyAccess(1, 0)); // => 0
   * kernel.call(() => user.readPkru()); // => 0x55555550
   */
  setUserPkeyAccess(pkey: number, initVal: number): number {
    if (!this.enabled) return -EINVAL;
    if (pkey >= PKS_NUM_KEYS) {
      this.#kernel.oops.warnOnce(`arch_set_user_pkey_access: pkey ${pkey} >= arch_max_pkey()`);
      return -EINVAL;
    }
    this.writePkru(getNewPkr(this.readPkru(), pkey, initVal));
    return 0;
  }
}
