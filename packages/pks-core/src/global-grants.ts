// SPDX-License-Identifier: MIT
// Rights that every thread has: pkrs_global_cache of the RFC PKS/PMEM series (9 October 2020), as posted (D-12).

import type { Kernel, Regs } from '@pkslab/kernel';
import { type Column, type FieldDefinition, IA32_PKRS, PF_W } from '@pkslab/x86-cpu';
import type { Copies } from './copies.ts';
import { keyOfAddress } from './lookup-address.ts';
import { getNewPkr, PKR_AD_BIT, PKR_WD_BIT, pkrPair } from './pkr.ts';

/** pkrs_global_cache: what a thread's value is ANDed with. */
const globalCacheField: FieldDefinition = {
  name: 'pkrs_global_cache',
  type: 'u32',
  initial: 0xffff_fffc,
  per: 'global',
};

/** Granted lazily, revoked at once. */
export class GlobalGrants {
  readonly cache: Column;
  readonly #kernel: Kernel;
  readonly #pkrs: Copies;
  /** Whether a put_cpu_ptr follows each per_cpu_ptr, which takes no count. */
  readonly #unpairedPut: boolean;

  constructor(kernel: Kernel, pkrs: Copies) {
    this.#kernel = kernel;
    this.#pkrs = pkrs;
    this.cache = kernel.machine.column(globalCacheField);
    this.#unpairedPut = kernel.choice('globalPut') === 'unpaired';
    kernel.slots.keyFault.push((regs, errorCode, address) =>
      this.#isEnabled(regs, errorCode, address),
    );
  }

  /** update_global_pkrs: what is taken away is taken from every CPU now; what is given is found at a switch or fault. */
  change(pkey: number, protection: number): void {
    const old = pkrPair(this.cache.get(0), pkey);
    this.cache.set(0, getNewPkr(this.cache.get(0), pkey, protection));
    if ((protection & ~old) !== 0) this.#revoke(pkey, protection);
  }

  /** Another CPU's cache is read, changed and written, then its register: its own updates get in between. */
  #revoke(pkey: number, protection: number): void {
    const { machine, preempt } = this.#kernel;
    const cache = this.#pkrs.cache.column;
    for (const { index } of machine.cpus) {
      cache.set(index, getNewPkr(cache.get(index), pkey, protection));
      this.#wrmsrlOnCpu(index, cache.get(index));
      if (this.#unpairedPut) preempt.enable();
    }
  }

  /** wrmsrl_on_cpu */
  #wrmsrlOnCpu(cpu: number, value: number): void {
    const { machine } = this.#kernel;
    if (cpu === machine.cpu.index) machine.wrmsr(IA32_PKRS, value);
    else machine.registers.pkrs.set(cpu, value);
  }

  /**
   * global_pkey_is_enabled, in the path of spurious faults: the faulting context gets what everybody has. A revoke that
   * comes after the read does not reach the frame, so that the exit installs a stale grant.
   */
  #isEnabled(regs: Regs, errorCode: number, address: number): boolean {
    const key = keyOfAddress(this.#kernel, address);
    if (key < 0) return false;
    const granted = this.cache.get(0);
    const pair = pkrPair(granted, key);
    if ((pair & PKR_AD_BIT) !== 0) return false;
    if ((pair & PKR_WD_BIT) !== 0 && (errorCode & PF_W) !== 0) return false;
    const word = this.#pkrs.entryWord;
    regs.state.words[word] = ((regs.state.words[word] as number) & granted) >>> 0;
    return true;
  }
}
