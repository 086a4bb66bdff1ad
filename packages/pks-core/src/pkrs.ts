// SPDX-License-Identifier: MIT
// IA32_PKRS over context switches and exceptions. [PATCH 04/17] x86/pks: Preserve the PKRS MSR on context
// switch, [PATCH 17/17] x86/entry: Preserve PKRS MSR across exceptions

import { type EntryState, type Kernel, Mark } from '@pkslab/kernel';
import {
  type Column,
  CR4_PKS,
  type FieldDefinition,
  IA32_PKRS,
  type Machine,
  PerCpu,
} from '@pkslab/x86-cpu';
import { getNewPkr, INIT_PKRS_VALUE } from './pkr.ts';

/** pkrs_cache: what this CPU's register should hold. 0 (BSS) until setup. */
export const pkrsCacheField: FieldDefinition = {
  name: 'pkrs_cache',
  type: 'u32',
  initial: 0,
  per: 'cpu',
};

/** thread.saved_pkrs: what the register holds while the task runs in process context. */
export const savedPkrsField: FieldDefinition = {
  name: 'thread.saved_pkrs',
  type: 'u32',
  initial: INIT_PKRS_VALUE,
  per: 'task',
  fork: 'copy',
};

interface EntryStrategy {
  save(state: EntryState): void;
  restore(state: EntryState): void;
}

/** The four copies of a thread's rights that pks-core keeps in step: register, cache, saved value. */
export class Pkrs {
  readonly saved: Column;
  readonly cache: PerCpu;
  readonly #machine: Machine;
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#machine = kernel.machine;
    this.saved = kernel.machine.column(savedPkrsField);
    this.cache = new PerCpu(kernel.machine.column(pkrsCacheField));
    if (!kernel.machine.features.pks) return;
    const { slots } = kernel;
    slots.cpuInit.push(() => this.setup());
    if (kernel.choice('schedIn') === 'on') slots.switchIn.push((next) => this.schedIn(next));
    slots.exec.push((task) => this.saved.set(task, INIT_PKRS_VALUE));
    if (kernel.choice('forkPolicy') === 'init') {
      slots.fork.push((_parent, child) => this.saved.set(child, INIT_PKRS_VALUE));
    }
    const strategy = this.#entryStrategy(kernel.choice('entrySaves'));
    slots.entrySave.push((state) => strategy.save(state));
    slots.entryRestore.push((state) => strategy.restore(state));
    slots.oops.push(() => `PKRS: 0x${this.#machine.rdmsr(IA32_PKRS).toString(16)}`);
  }

  /** setup_pks: once on each CPU as it comes up. [PATCH 03/17], [PATCH 04/17] */
  setup(): void {
    const enable = (): void => this.#machine.writeCr(4, this.#machine.readCr(4) | CR4_PKS);
    if (this.#kernel.choice('initOrder') === 'cr4First') enable();
    this.writePkrs(INIT_PKRS_VALUE);
    if (this.#kernel.choice('initOrder') === 'pkrsFirst') enable();
  }

  /** write_pkrs: cache, then register; the caller has preemption off. */
  writePkrs(value: number): void {
    this.cache.write(value);
    this.#machine.wrmsr(IA32_PKRS, value);
  }

  /** pks_sched_in: last in the switch to a task. */
  schedIn(next: number): void {
    const value = this.saved.get(next);
    if (this.cache.read() !== value) this.writePkrs(value);
  }

  /**
   * pks_update_protection: changes the calling thread's rights to one key. Any context.
   *
   * @param protection 0, or PKEY_DISABLE_ACCESS and PKEY_DISABLE_WRITE or-ed together.
   */
  updateProtection(pkey: number, protection: number): void {
    const { current } = this.#kernel.tasks;
    this.#machine.mark(Mark.update, 1);
    this.saved.set(current, getNewPkr(this.saved.get(current), pkey, protection));
    this.#kernel.preempt.disable();
    this.writePkrs(this.saved.get(current));
    this.#machine.mark(Mark.update, 0);
    this.#kernel.preempt.enable();
  }

  #entryStrategy(choice: string): EntryStrategy {
    if (choice === 'nothing') return { save: () => {}, restore: () => {} };
    const pkrs = this.#kernel.slots.reserveEntryWord();
    if (choice === 'cache') return this.#saveCache(pkrs);
    const saved = this.#kernel.slots.reserveEntryWord();
    if (choice === 'cacheAndSaved') return this.#saveCacheAndSaved(pkrs, saved);
    return this.#saveRegister(pkrs, saved, this.#kernel.slots.reserveEntryWord());
  }

  /** idt_save_pkrs and idt_restore_pkrs as posted in RFC V2. */
  #saveCache(pkrs: number): EntryStrategy {
    return {
      save: (state) => {
        const value = this.cache.read();
        state.words[pkrs] = value;
        if (value !== INIT_PKRS_VALUE) this.writePkrs(INIT_PKRS_VALUE);
      },
      restore: (state) => {
        const value = state.words[pkrs] as number;
        if (value !== this.cache.read()) this.writePkrs(value);
      },
    };
  }

  /** irq_save_pkrs of RFC V3: the thread's saved value is kept and reset as well. */
  #saveCacheAndSaved(pkrs: number, saved: number): EntryStrategy {
    const cache = this.#saveCache(pkrs);
    return {
      save: (state) => {
        this.#takeSaved(state, saved);
        cache.save(state);
      },
      restore: (state) => {
        cache.restore(state);
        this.saved.set(this.#kernel.tasks.current, state.words[saved] as number);
      },
    };
  }

  /**
   * The register is read, not taken from the cache, and written without a compare: an entry between the two
   * writes of an update finds a cache that lies.
   */
  #saveRegister(pkrs: number, saved: number, register: number): EntryStrategy {
    return {
      save: (state) => {
        this.#takeSaved(state, saved);
        state.words[pkrs] = this.cache.read();
        state.words[register] = this.#machine.rdmsr(IA32_PKRS);
        this.writePkrs(INIT_PKRS_VALUE);
      },
      restore: (state) => {
        this.cache.write(state.words[pkrs] as number);
        this.#machine.wrmsr(IA32_PKRS, state.words[register] as number);
        this.saved.set(this.#kernel.tasks.current, state.words[saved] as number);
      },
    };
  }

  #takeSaved(state: EntryState, word: number): void {
    const { current } = this.#kernel.tasks;
    state.words[word] = this.saved.get(current);
    this.saved.set(current, INIT_PKRS_VALUE);
  }
}
