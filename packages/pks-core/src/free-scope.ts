// SPDX-License-Identifier: MIT
// Where pks_key_free closes a key: in the calling thread, as posted, or wherever it is open (D-33, I9).

import { type EntryState, type Kernel, Mark } from '@pkslab/kernel';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import { getNewPkr, PKEY_DISABLE_ACCESS, PKS_NUM_KEYS, pkrPair } from './pkr.ts';
import type { Pkrs } from './pkrs.ts';

/** Keys that were given back so far, and which of them each key was last. */
const freeCountField: FieldDefinition = {
  name: 'pks_free_count',
  type: 'u32',
  initial: 0,
  per: 'global',
};
const freedAtField: FieldDefinition = {
  name: 'pks_key_freed_at',
  type: 'u32',
  initial: 0,
  per: 'object',
  count: PKS_NUM_KEYS,
};

/** Values of the choice `freeScope`. */
export type FreeScopeChoice = 'thread' | 'tasks' | 'everywhere';

/** Closes a key, and gives it back by `release`, in the order of its choice. */
export type FreeScope = (pkey: number, release: () => void) => void;

/** pks_key_free as posted: free first, and closed in the calling thread. [PATCH 05/17] */
function inThread(_kernel: Kernel, pkrs: Pkrs): FreeScope {
  return (pkey, release) => {
    release();
    pkrs.changeRights(pkey, PKEY_DISABLE_ACCESS);
  };
}

/** In what every task has when it is switched to next; whoever runs, or is interrupted, keeps the key. */
function inTasks(_kernel: Kernel, pkrs: Pkrs): FreeScope {
  return (pkey, release) => {
    pkrs.changeRights(pkey, PKEY_DISABLE_ACCESS);
    closeInTasks(pkrs, pkey);
    release();
  };
}

/**
 * While every other CPU stands in an interrupt: what it interrupted has its rights in the entry's state, which the exit
 * puts right, as every entry that is older than the free does, however long it sleeps.
 */
function everywhere(kernel: Kernel, pkrs: Pkrs): FreeScope {
  const freed = new FreedKeys(kernel, pkrs);
  return (pkey, release) => {
    kernel.stopMachine.run(() => {
      pkrs.changeRights(pkey, PKEY_DISABLE_ACCESS);
      closeInTasks(pkrs, pkey);
      freed.note(pkey);
      release();
    });
  };
}

const SCOPES: Readonly<Record<FreeScopeChoice, (kernel: Kernel, pkrs: Pkrs) => FreeScope>> = {
  thread: inThread,
  tasks: inTasks,
  everywhere,
};

/** The strategy of a choice. */
export function freeScopeOf(choice: FreeScopeChoice, kernel: Kernel, pkrs: Pkrs): FreeScope {
  return SCOPES[choice](kernel, pkrs);
}

function closeInTasks({ saved, noAccess }: Pkrs, pkey: number): void {
  for (let task = 0; task < saved.values.length; task++) {
    const value = saved.get(task);
    if (pkrPair(value, pkey) !== noAccess) saved.set(task, getNewPkr(value, pkey, noAccess));
  }
}

/** Which keys were given back while an entry was under way: its exit must not bring them back open. */
class FreedKeys {
  readonly #count: Column;
  readonly #freedAt: Column;
  readonly #kernel: Kernel;
  readonly #pkrs: Pkrs;
  /** The word of an entry's state that has the count as the entry found it. */
  readonly #word: number;

  constructor(kernel: Kernel, pkrs: Pkrs) {
    const { machine, slots } = kernel;
    this.#kernel = kernel;
    this.#pkrs = pkrs;
    this.#count = machine.column(freeCountField);
    this.#freedAt = machine.column(freedAtField);
    this.#word = slots.reserveEntryWord();
    slots.entrySave.push((state) => this.#save(state));
    // Restores run in reverse order: this one before the one that writes the register.
    slots.entryRestore.push((state) => this.#restore(state));
  }

  note(pkey: number): void {
    const count = this.#count.get(0) + 1;
    this.#freedAt.set(pkey, count);
    this.#count.set(0, count);
  }

  #save(state: EntryState): void {
    state.words[this.#word] = this.#count.get(0);
  }

  #restore(state: EntryState): void {
    const then = state.words[this.#word] as number;
    if (this.#count.get(0) === then) return;
    this.#kernel.machine.mark(Mark.updateException, 1);
    for (let key = 1; key < PKS_NUM_KEYS; key++) {
      if (this.#freedAt.get(key) > then) this.#pkrs.setInterrupted(state, key, PKEY_DISABLE_ACCESS);
    }
  }
}
