// SPDX-License-Identifier: MIT
// What an entry keeps of the interrupted context's rights, and what its exit brings back.
// [PATCH 17/17] x86/entry: Preserve PKRS MSR across exceptions, and its successors

import type { EntryState, Kernel } from '@pkslab/kernel';
import { IA32_PKRS } from '@pkslab/x86-cpu';
import type { Copies } from './copies.ts';

/** How a revision keeps rights over an entry. */
export interface EntrySaves {
  save(state: EntryState): void;
  restore(state: EntryState): void;
  /** The words that hold the rights of the interrupted context: what pks_update_exception changes. */
  readonly words: readonly number[];
  /** The word whose value an oops prints; −1 where there is none. */
  readonly shown: number;
  /** Whether pks_update_exception changes the handler's own rights too. */
  readonly updatesHandler: boolean;
}

const COMMON = { updatesHandler: false };

/** Nothing is kept: the interrupted context's rights stay where they are. */
export const SAVES_NOTHING: EntrySaves = {
  ...COMMON,
  words: [],
  shown: -1,
  save: () => {},
  restore: () => {},
};

/** idt_save_pkrs and idt_restore_pkrs as posted in RFC V2. */
function saveCache(kernel: Kernel, pkrs: Copies): EntrySaves {
  const word = kernel.slots.reserveEntryWord();
  return {
    ...COMMON,
    words: [word],
    shown: word,
    save(state) {
      const value = pkrs.cache.read();
      state.words[word] = value;
      const init = pkrs.readInit();
      if (value !== init) pkrs.writePkrs(init);
    },
    restore(state) {
      const value = state.words[word] as number;
      if (value !== pkrs.cache.read()) pkrs.writePkrs(value);
    },
  };
}

/**
 * irq_save_pkrs of RFC V3: the thread's saved value is kept beside the cached one, and not reset, so that a
 * handler's own update starts from the interrupted thread's rights.
 */
function saveCacheAndSaved(kernel: Kernel, pkrs: Copies): EntrySaves {
  const cached = kernel.slots.reserveEntryWord();
  const saved = kernel.slots.reserveEntryWord();
  const { tasks } = kernel;
  return {
    ...COMMON,
    words: [cached, saved],
    shown: cached,
    save(state) {
      state.words[saved] = pkrs.saved.get(tasks.current);
      state.words[cached] = pkrs.cache.read();
      pkrs.writePkrs(pkrs.readInit());
    },
    restore(state) {
      pkrs.writePkrs(state.words[cached] as number);
      pkrs.saved.set(tasks.current, state.words[saved] as number);
    },
  };
}

/** pks_save_pt_regs and pks_restore_pt_regs: the thread's value alone, in a slot below pt_regs. V4 to V10 */
function saveThreadValue(kernel: Kernel, pkrs: Copies): EntrySaves {
  const slot = kernel.slots.reserveEntryWord();
  const { tasks } = kernel;
  return {
    words: [slot],
    shown: slot,
    updatesHandler: true,
    save(state) {
      state.words[slot] = pkrs.saved.get(tasks.current);
      pkrs.writePkrs(pkrs.abandoned.apply(pkrs.readInit()));
    },
    restore(state) {
      pkrs.saved.set(tasks.current, state.words[slot] as number);
      pkrs.writePkrs(pkrs.saved.get(tasks.current));
    },
  };
}

/**
 * The register is read, not taken from the cache, and written without a compare: an entry between the two
 * writes of an update finds a cache that lies. The handler has a saved value of its own.
 */
function saveRegister(kernel: Kernel, pkrs: Copies): EntrySaves {
  const cached = kernel.slots.reserveEntryWord();
  const saved = kernel.slots.reserveEntryWord();
  const register = kernel.slots.reserveEntryWord();
  const { tasks, machine } = kernel;
  return {
    ...COMMON,
    words: [cached, saved, register],
    shown: register,
    save(state) {
      const { current } = tasks;
      const init = pkrs.readInit();
      state.words[saved] = pkrs.saved.get(current);
      pkrs.saved.set(current, init);
      state.words[cached] = pkrs.cache.read();
      state.words[register] = machine.rdmsr(IA32_PKRS);
      pkrs.writePkrs(init);
    },
    restore(state) {
      pkrs.cache.write(state.words[cached] as number);
      machine.wrmsr(IA32_PKRS, state.words[register] as number);
      pkrs.saved.set(tasks.current, state.words[saved] as number);
    },
  };
}

/** Values of the choice `entrySaves`. */
export type EntrySavesChoice =
  | 'nothing'
  | 'cache'
  | 'cacheAndSaved'
  | 'threadValue'
  | 'registerAndSaved';

const SAVES: Readonly<Record<EntrySavesChoice, (kernel: Kernel, pkrs: Copies) => EntrySaves>> = {
  nothing: () => SAVES_NOTHING,
  cache: saveCache,
  cacheAndSaved: saveCacheAndSaved,
  threadValue: saveThreadValue,
  registerAndSaved: saveRegister,
};

/** The strategy of a choice. */
export function entrySavesOf(choice: EntrySavesChoice, kernel: Kernel, pkrs: Copies): EntrySaves {
  return SAVES[choice](kernel, pkrs);
}
