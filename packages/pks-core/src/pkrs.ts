// SPDX-License-Identifier: MIT
// IA32_PKRS over context switches and exceptions. [PATCH 04/17] x86/pks: Preserve the PKRS MSR on context
// switch, [PATCH 17/17] x86/entry: Preserve PKRS MSR across exceptions

import { type EntryState, type Kernel, Mark, type Tasks } from '@pkslab/kernel';
import {
  type Column,
  CR4_PKS,
  type FieldDefinition,
  IA32_PKRS,
  type Machine,
  MarkWindow,
  PerCpu,
} from '@pkslab/x86-cpu';
import { type Abandoned, AbandonedKeys, NOTHING_ABANDONED } from './abandon.ts';
import type { Copies } from './copies.ts';
import {
  type EntrySaves,
  type EntrySavesChoice,
  entrySavesOf,
  SAVES_NOTHING,
} from './entry-saves.ts';
import { GlobalGrants } from './global-grants.ts';
import { InitValue } from './init-value.ts';
import { hookOops, type OopsPkrsChoice } from './oops-pkrs.ts';
import { getNewPkr, INIT_PKRS_VALUE } from './pkr.ts';
import { isPksEnabled } from './pks-config.ts';
import type { StaticKeyNumbers } from './pks-keys.ts';
import { type UpdateCheck, updateCheckOf } from './update-policy.ts';
import { type UpdateScope, type UpdateScopeChoice, updateScopeOf } from './update-scope.ts';
import { type WritePkrs, type WritePkrsChoice, writePkrsOf } from './write-pkrs.ts';

/** pkrs_cache: what this CPU's register should hold. 0 (BSS) until setup. */
export const pkrsCacheField: FieldDefinition = {
  name: 'pkrs_cache',
  type: 'u32',
  initial: 0,
  per: 'cpu',
};

/** thread.saved_pkrs, thread.pkrs from V9 on: what the register holds while the task runs in process context. */
export const savedPkrsField: FieldDefinition = {
  name: 'thread.saved_pkrs',
  type: 'u32',
  initial: INIT_PKRS_VALUE,
  per: 'task',
  fork: 'copy',
};

/** The copies of a thread's rights that pks-core keeps in step: register, cache, saved value. */
export class Pkrs implements Copies {
  readonly saved: Column;
  readonly cache: PerCpu;
  readonly abandoned: Abandoned;
  readonly init: InitValue;
  /** The RFC PKS/PMEM series' global rights; null in every other revision, and without PKS. */
  readonly global: GlobalGrants | null = null;
  private readonly machine: Machine;
  private readonly kernel: Kernel;
  private readonly tasks: Tasks;
  private readonly update: MarkWindow;
  private readonly writer: WritePkrs;
  private readonly scope: UpdateScope;
  private readonly check: UpdateCheck;
  #entry: EntrySaves = SAVES_NOTHING;
  #schedIn: ((next: number) => void) | null = null;
  /** Whether somebody has a key; installed with the keys. */
  isAllocated: (pkey: number) => boolean = () => false;

  constructor(kernel: Kernel, numbers: StaticKeyNumbers) {
    const { machine, slots } = kernel;
    this.kernel = kernel;
    this.machine = machine;
    this.tasks = kernel.tasks;
    this.update = new MarkWindow(machine, Mark.update);
    this.saved = machine.column(savedPkrsField);
    this.cache = new PerCpu(machine.column(pkrsCacheField));
    this.init = new InitValue(kernel, this.saved, numbers);
    this.writer = writePkrsOf(kernel.choice('writePkrs') as WritePkrsChoice, kernel, this.cache);
    this.scope = updateScopeOf(kernel.choice('updateScope') as UpdateScopeChoice, kernel);
    this.check = updateCheckOf(kernel, numbers, (pkey) => this.isAllocated(pkey));
    this.abandoned =
      kernel.choice('abandon') === 'mask' ? new AbandonedKeys(kernel) : NOTHING_ABANDONED;
    if (isPksEnabled(kernel)) {
      slots.cpuInit.push(() => this.setup());
      this.#hookSwitch(kernel.choice('schedIn'));
      slots.exec.push(this.#initTask(kernel.choice('execReset')));
      if (kernel.choice('forkPolicy') === 'init') {
        slots.fork.push((_parent, child) => this.saved.set(child, this.init.read()));
      }
      this.#hookEntry();
      if (kernel.choice('globalGrants') === 'andCache')
        this.global = new GlobalGrants(kernel, this);
    }
    hookOops(kernel, kernel.choice('oopsPkrs') as OopsPkrsChoice, this.#entry.shown);
  }

  #hookEntry(): void {
    const { slots } = this.kernel;
    const entry = entrySavesOf(
      this.kernel.choice('entrySaves') as EntrySavesChoice,
      this.kernel,
      this,
    );
    this.#entry = entry;
    slots.entrySave.push((state) => entry.save(state));
    slots.entryRestore.push((state) => entry.restore(state));
    if (this.abandoned !== NOTHING_ABANDONED) {
      slots.keyFault.push((regs) => this.abandoned.fix(regs.state, entry.shown));
    }
  }

  /** The word of an entry's state that has the interrupted context's rights; −1 where none is kept. */
  get entryWord(): number {
    return this.#entry.shown;
  }

  /** setup_pks: once on each CPU as it comes up. [PATCH 03/17], [PATCH 04/17] */
  setup(): void {
    const enable = (): void => this.machine.writeCr(4, this.machine.readCr(4) | CR4_PKS);
    const first = this.kernel.choice('initOrder') === 'cr4First';
    if (first) enable();
    const value = this.init.read();
    // A write that is compared with the cache first may never reach the register (D-18).
    if (this.kernel.choice('firstWrite') === 'raw') this.machine.wrmsr(IA32_PKRS, value);
    this.writePkrs(value);
    if (!first) enable();
  }

  /** write_pkrs: cache and register; see `writePkrs` of the choices for who keeps the scheduler out. */
  writePkrs(value: number): void {
    this.writer.write(value);
  }

  /** The pair of a key that may not be used. */
  get noAccess(): number {
    return this.init.noAccess;
  }

  /** What a handler, a CPU and a new program start with. */
  readInit(): number {
    return this.init.read();
  }

  /** pks_sched_in, x86_pkrs_load in V9 and V10: in the switch to a task. */
  schedIn(next: number): void {
    this.#schedIn?.(next);
  }

  #hookSwitch(choice: string): void {
    if (choice === 'compare') this.#schedIn = (next) => this.#schedCompare(next);
    else if (choice === 'plain') this.#schedIn = (next) => this.writer.write(this.saved.get(next));
    else if (choice === 'mask') this.#schedIn = (next) => this.#schedMask(next);
    else if (choice === 'global') this.#schedIn = (next) => this.#schedGlobal(next);
    if (this.#schedIn !== null) this.kernel.slots.switchIn.push((next) => this.schedIn(next));
  }

  #schedCompare(next: number): void {
    const value = this.saved.get(next);
    if (this.cache.read() !== value) this.writer.write(value);
  }

  #schedMask(next: number): void {
    this.saved.set(next, this.abandoned.apply(this.saved.get(next)));
    this.writer.write(this.saved.get(next));
  }

  #schedGlobal(next: number): void {
    this.writer.write(this.#withGlobal(this.saved.get(next)));
  }

  #withGlobal(value: number): number {
    return this.global === null ? value : (value & this.global.cache.get(0)) >>> 0;
  }

  /**
   * pks_update_protection: changes the calling thread's rights to one key. Any context.
   *
   * Use it for a key that you got from `keys`; rights are per thread, and start as none. What may not be
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
    const flags = this.scope.begin();
    if (this.#allows(pkey, protection)) this.changeRights(pkey, protection);
    this.scope.end(flags);
  }

  /** Complains of an update where the revision does; whether it is done. */
  #allows(pkey: number, protection: number): boolean {
    const complaint = this.check(pkey, protection);
    if (complaint === null) return true;
    if (complaint.kind === 'warn') this.kernel.oops.warn(complaint.text);
    else if (complaint.kind === 'warnOnOnce') this.kernel.oops.warnOn(complaint.text);
    return !complaint.refused;
  }

  /** The end of an update: a task's new saved value goes into cache and register. */
  #load(task: number): void {
    this.scope.enterWrite();
    this.writer.write(this.saved.get(task));
    this.update.end();
    this.scope.leaveWrite();
  }

  /** pks_update_protection without the checks, for whoever holds the key and its bits as constants. */
  changeRights(pkey: number, protection: number): void {
    const { saved } = this;
    const flags = this.scope.begin();
    const current = this.tasks.getCurrent();
    this.update.begin();
    const bits = this.init.encode(protection);
    saved.set(current, getNewPkr(saved.get(current), pkey, bits));
    this.#load(current);
    this.scope.end(flags);
  }

  /**
   * update_global_pkrs: changes every thread's rights to one key, as kmap() needed it. RFC PKS/PMEM, 2/58
   *
   * A grant reaches other CPUs at their next switch or fault on the key; a revoke interrupts every CPU, and waits. As
   * posted, memremap calls it with interrupts off, which is a WARN where there are other CPUs. In revisions without
   * global rights it is {@link changeRights}.
   */
  changeRightsGlobal(pkey: number, protection: number): void {
    this.global?.change(pkey, this.init.encode(protection));
    this.changeRights(pkey, protection);
  }

  /**
   * pks_update_exception, as later revisions call it: changes the rights of the context that an exception
   * interrupted, which has them back when the handler returns.
   *
   * Use it in a key-fault handler that lets the access through; {@link updateProtection} there changes the
   * handler's own rights only, and the access is refused for ever (I15). From V8 on it changes both. It refuses what
   * that one refuses.
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
    if (!this.#allows(pkey, protection)) return;
    this.machine.mark(Mark.updateException, 1);
    const { words, updatesHandler } = this.#entry;
    if (words.length === 0 || updatesHandler) this.changeRights(pkey, protection);
    this.setInterrupted(state, pkey, protection);
  }

  /** Changes what an entry keeps of the interrupted context, and nothing of the handler's own rights. */
  setInterrupted(state: EntryState, pkey: number, protection: number): void {
    const bits = this.init.encode(protection);
    for (const word of this.#entry.words) {
      state.words[word] = getNewPkr(state.words[word] as number, pkey, bits);
    }
  }

  /** pks_init_task, at exec: the new program starts with INIT. */
  #initTask(reset: string): (task: number) => void {
    const { scope, saved, update } = this;
    if (reset === 'saved') {
      return (task) => saved.set(task, this.abandoned.apply(this.init.read()));
    }
    return (task) => {
      const flags = scope.begin();
      update.begin();
      saved.set(task, this.init.read());
      this.#load(task);
      scope.end(flags);
    };
  }
}
