// SPDX-License-Identifier: MIT
// IA32_PKRS over context switches and exceptions. [PATCH 04/17] x86/pks: Preserve the PKRS MSR on context
// switch, [PATCH 17/17] x86/entry: Preserve PKRS MSR across exceptions

import {
  type EntryState,
  type Kernel,
  Mark,
  type Preempt,
  type Regs,
  type Tasks,
} from '@pkslab/kernel';
import {
  type Column,
  CR4_PKS,
  type FieldDefinition,
  IA32_PKRS,
  type Machine,
  MarkWindow,
  PerCpu,
} from '@pkslab/x86-cpu';
import {
  getNewPkr,
  INIT_PKRS_VALUE,
  PKEY_DISABLE_ACCESS,
  PKEY_DISABLE_WRITE,
  PKS_KERN_DEFAULT_KEY,
  PKS_NUM_KEYS,
} from './pkr.ts';

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
  /** The words that hold the rights of the interrupted context. */
  readonly words: readonly number[];
}

/** Nothing is kept: the interrupted context's rights stay where they are. */
const NO_ENTRY: EntryStrategy = { words: [], save: () => {}, restore: () => {} };

/** The four copies of a thread's rights that pks-core keeps in step: register, cache, saved value. */
export class Pkrs {
  readonly saved: Column;
  readonly cache: PerCpu;
  private readonly machine: Machine;
  private readonly kernel: Kernel;
  private readonly tasks: Tasks;
  private readonly preempt: Preempt;
  private readonly update: MarkWindow;
  private readonly checked: boolean = false;
  #entry: EntryStrategy = NO_ENTRY;
  /** The word of an entry's state that has the interrupted context's rights. */
  #entryWord = -1;
  /** Whether somebody has a key; installed by the allocator. */
  isAllocated: (pkey: number) => boolean = () => false;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.machine = kernel.machine;
    this.tasks = kernel.tasks;
    this.preempt = kernel.preempt;
    this.update = new MarkWindow(kernel.machine, Mark.update);
    this.saved = kernel.machine.column(savedPkrsField);
    this.cache = new PerCpu(kernel.machine.column(pkrsCacheField));
    if (!kernel.machine.features.pks) return;
    const { slots } = kernel;
    slots.cpuInit.push(() => this.setup());
    if (kernel.choice('schedIn') === 'on') slots.switchIn.push((next) => this.schedIn(next));
    this.checked = kernel.choice('updatePolicy') === 'checked';
    slots.exec.push(this.#initTask(kernel.choice('execReset')));
    if (kernel.choice('forkPolicy') === 'init') {
      slots.fork.push((_parent, child) => this.saved.set(child, INIT_PKRS_VALUE));
    }
    const strategy = this.#entryStrategy(kernel.choice('entrySaves'));
    this.#entry = strategy;
    slots.entrySave.push((state) => strategy.save(state));
    slots.entryRestore.push((state) => strategy.restore(state));
    if (kernel.choice('oopsPkrs') === 'yes') slots.oops.push((regs) => this.#oopsLine(regs));
  }

  /** setup_pks: once on each CPU as it comes up. [PATCH 03/17], [PATCH 04/17] */
  setup(): void {
    const enable = (): void => this.machine.writeCr(4, this.machine.readCr(4) | CR4_PKS);
    if (this.kernel.choice('initOrder') === 'cr4First') enable();
    this.writePkrs(INIT_PKRS_VALUE);
    if (this.kernel.choice('initOrder') === 'pkrsFirst') enable();
  }

  /** write_pkrs: cache, then register; the caller has preemption off. */
  writePkrs(value: number): void {
    this.cache.write(value);
    this.machine.wrmsr(IA32_PKRS, value);
  }

  /** pks_sched_in: last in the switch to a task. */
  schedIn(next: number): void {
    const value = this.saved.get(next);
    if (this.cache.read() !== value) this.writePkrs(value);
  }

  /**
   * pks_update_protection: changes the calling thread's rights to one key. Any context.
   *
   * Use it for a key that you got from `alloc`; rights are per thread, and start as none. What may not be
   * (key 0, a key that nobody has, other bits) is refused with a WARN where the revision checks, and done
   * where it trusts its callers. [PATCH 05/17] x86/pks: Add PKS kernel API
   *
   * @param protection 0, or PKEY_DISABLE_ACCESS and PKEY_DISABLE_WRITE or-ed together.
   * @example
   * const kernel = boot({ modules: [pksCore] });
   * const { keys, pkrs } = kernel.module(pksCore);
   * const key = kernel.call(() => keys.alloc('my driver'));
   * kernel.call(() => pkrs.updateProtection(key, 0));
   * kernel.machine.rdmsr(0x6e1); // => 0x55555550
   */
  updateProtection(pkey: number, protection: number): void {
    const complaint = this.checked ? this.#complaint(pkey, protection) : null;
    if (complaint !== null) this.kernel.oops.warn(`x86/pkeys: ${complaint}`);
    else this.changeRights(pkey, protection);
  }

  #complaint(pkey: number, protection: number): string | null {
    if (pkey === PKS_KERN_DEFAULT_KEY) return 'update of key 0, which every mapping has';
    if (!Number.isInteger(pkey) || pkey < 0 || pkey >= PKS_NUM_KEYS) {
      return `update of key ${pkey}: keys are 1 to ${PKS_NUM_KEYS - 1}`;
    }
    if ((protection & ~(PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE)) !== 0) {
      return `update of key ${pkey} with protection 0x${(protection >>> 0).toString(16)}: there is 0x1 and 0x2`;
    }
    return this.isAllocated(pkey) ? null : `update of key ${pkey}, which is not allocated`;
  }

  /** pks_update_protection without the checks, for whoever holds the key and its bits as constants. */
  changeRights(pkey: number, protection: number): void {
    const { saved, preempt } = this;
    const current = this.tasks.getCurrent();
    this.update.begin();
    saved.set(current, getNewPkr(saved.get(current), pkey, protection));
    preempt.disable();
    this.writePkrs(saved.get(current));
    this.update.end();
    preempt.enable();
  }

  /**
   * pks_update_exception, as later revisions call it: changes the rights of the context that an exception
   * interrupted, which has them back when the handler returns.
   *
   * Use it in a key-fault handler that lets the access through; {@link updateProtection} there changes the
   * handler's own rights only, and the access is refused for ever (I15).
   *
   * @example
   * const kernel = boot({ modules: [pksCore] });
   * const { keys, pkrs } = kernel.module(pksCore);
   * const key = kernel.call(() => keys.alloc('mine'));
   * const page = kernel.call(() => kernel.mm.vmalloc(4096, { key, writable: true }));
   * kernel.slots.keyFault.push((regs) => {
   *   pkrs.updateException(regs.state, key, 0);
   *   return true;
   * });
   * kernel.call(() => kernel.machine.tryStore32(page, 1)); // => false: it went through
   */
  updateException(state: EntryState, pkey: number, protection: number): void {
    const { words } = this.#entry;
    if (words.length === 0) this.changeRights(pkey, protection);
    for (const word of words) {
      state.words[word] = getNewPkr(state.words[word] as number, pkey, protection);
    }
  }

  /** pks_init_task, at exec: the new program starts with INIT. */
  #initTask(reset: string): (task: number) => void {
    const { preempt } = this.kernel;
    if (reset === 'saved') return (task) => this.saved.set(task, INIT_PKRS_VALUE);
    return (task) => {
      this.update.begin();
      this.saved.set(task, INIT_PKRS_VALUE);
      preempt.disable();
      this.writePkrs(INIT_PKRS_VALUE);
      this.update.end();
      preempt.enable();
    };
  }

  /** The rights of the context that faulted: the handler has its own. */
  #oopsLine(regs: Regs): string {
    const word = regs.state.words[this.#entryWord];
    return `PKRS: 0x${(word ?? this.machine.rdmsr(IA32_PKRS)).toString(16)}`;
  }

  #entryStrategy(choice: string): EntryStrategy {
    if (choice === 'nothing') return NO_ENTRY;
    const pkrs = this.kernel.slots.reserveEntryWord();
    this.#entryWord = pkrs;
    if (choice === 'cache') return this.#saveCache(pkrs);
    const saved = this.kernel.slots.reserveEntryWord();
    if (choice === 'cacheAndSaved') return this.#saveCacheAndSaved(pkrs, saved);
    this.#entryWord = this.kernel.slots.reserveEntryWord();
    return this.#saveRegister(pkrs, saved, this.#entryWord);
  }

  /** idt_save_pkrs and idt_restore_pkrs as posted in RFC V2. */
  #saveCache(pkrs: number): EntryStrategy {
    return {
      words: [pkrs],
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
      words: [pkrs, saved],
      save: (state) => {
        this.#takeSaved(state, saved);
        cache.save(state);
      },
      restore: (state) => {
        cache.restore(state);
        this.saved.set(this.kernel.tasks.current, state.words[saved] as number);
      },
    };
  }

  /**
   * The register is read, not taken from the cache, and written without a compare: an entry between the two
   * writes of an update finds a cache that lies.
   */
  #saveRegister(pkrs: number, saved: number, register: number): EntryStrategy {
    return {
      words: [pkrs, saved, register],
      save: (state) => {
        this.#takeSaved(state, saved);
        state.words[pkrs] = this.cache.read();
        state.words[register] = this.machine.rdmsr(IA32_PKRS);
        this.writePkrs(INIT_PKRS_VALUE);
      },
      restore: (state) => {
        this.cache.write(state.words[pkrs] as number);
        this.machine.wrmsr(IA32_PKRS, state.words[register] as number);
        this.saved.set(this.kernel.tasks.current, state.words[saved] as number);
      },
    };
  }

  #takeSaved(state: EntryState, word: number): void {
    const { current } = this.kernel.tasks;
    state.words[word] = this.saved.get(current);
    this.saved.set(current, INIT_PKRS_VALUE);
  }
}
