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

/** Granted lazily, revoked by an interrupt to every CPU. */
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

  /** update_global_pkrs: what is taken away is taken from every CPU; what is given is found at a switch or fault. */
  change(pkey: number, protection: number): void {
    const old = pkrPair(this.cache.get(0), pkey);
    this.cache.set(0, getNewPkr(this.cache.get(0), pkey, protection));
    if ((protection & ~old) !== 0) this.#revoke(pkey, protection);
  }

  /**
   * Another CPU's cache is read, changed and written, then that CPU writes its register (wrmsrl_on_cpu): an IPI for
   * each, which waits, and until it arrives the CPU runs on with what it has. Its own updates get in between.
   */
  #revoke(pkey: number, protection: number): void {
    const { machine, preempt, smp } = this.#kernel;
    const cache = this.#pkrs.cache.column;
    for (const { index } of machine.cpus) {
      cache.set(index, getNewPkr(cache.get(index), pkey, protection));
      smp.wrmsrOnCpu(index, IA32_PKRS, cache.get(index));
      if (this.#unpairedPut) preempt.enable();
    }
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
    // Nothing is kept of the interrupted context: it stays behind, and the fault is what it is.
    if (word < 0) return false;
    regs.state.words[word] = ((regs.state.words[word] as number) & granted) >>> 0;
    return true;
  }
}
