// SPDX-License-Identifier: MIT
// pks_abandon_protections: V7's relief valve, which opens a key for good in every thread (D-45).

import type { EntryState, Kernel } from '@pkslab/kernel';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import { PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE, PKS_NUM_KEYS, pkrMask } from './pkr.ts';

/** pkrs_pkey_allowed_mask: AND of it takes the restrictions of abandoned keys out of a value. */
const allowedMaskField: FieldDefinition = {
  name: 'pkrs_pkey_allowed_mask',
  type: 'u32',
  initial: 0xffff_ffff,
  per: 'global',
};

/** What the rest of pks-core asks of the mask. */
export interface Abandoned {
  /** A register value without the restrictions of abandoned keys. */
  apply(value: number): number;
  /** pks_abandon_protections; false where the revision has none, or for a key that is none. */
  abandon(pkey: number): boolean;
  /**
   * handle_abandoned_pks_value: whether the interrupted context was behind, and is no more.
   *
   * @param word of the state; −1 where entries keep nothing, so that nobody can be helped
   */
  fix(state: EntryState, word: number): boolean;
}

/** No revision but V7 has it. */
export const NOTHING_ABANDONED: Abandoned = {
  apply: (value) => value,
  abandon: () => false,
  fix: () => false,
};

/** System-wide and never undone; threads learn of it at their next switch, entry or fault. V7 */
export class AbandonedKeys implements Abandoned {
  readonly #mask: Column;

  constructor(kernel: Kernel) {
    this.#mask = kernel.machine.column(allowedMaskField);
  }

  apply(value: number): number {
    return (value & this.#mask.get(0)) >>> 0;
  }

  abandon(pkey: number): boolean {
    if (pkey <= 0 || pkey >= PKS_NUM_KEYS) return false;
    const bits = pkrMask(pkey, PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE);
    let old = this.#mask.get(0);
    for (;;) {
      const seen = this.#mask.compareExchange(0, old, (old & ~bits) >>> 0);
      if (seen === old) return true;
      old = seen;
    }
  }

  fix(state: EntryState, word: number): boolean {
    if (word < 0) return false;
    const old = state.words[word] as number;
    const fixed = this.apply(old);
    if (fixed === old) return false;
    state.words[word] = fixed;
    return true;
  }
}
