// SPDX-License-Identifier: MIT
// Stores that must be refused, made by a scenario itself to see whether they are.

import { invariant, type Setup } from '@pkslab/explore';
import type { Kernel } from '@pkslab/kernel';
import type { FieldDefinition } from '@pkslab/x86-cpu';

const leakedField: FieldDefinition = {
  name: 'scenario.leaked',
  type: 'bool',
  initial: 0,
  per: 'global',
};

/** Probes of one scenario. */
export interface Probes {
  /** A stray store with an exception-table entry. */
  probe(address: number): void;
  /** The setup in which a store that went through breaks G. Where the revision warns of each refusal, WARNs are welcome. */
  judge(setup: Setup): Setup;
}

export function probing(kernel: Kernel): Probes {
  const leaked = kernel.machine.column(leakedField);
  const refusals = invariant({
    id: 'G',
    text: 'a stray store to a protected mapping is refused',
    end: () => (leaked.values[0] === 0 ? null : 'a store went through a closed key'),
  });
  const warns = kernel.choice('keyFaultWarn') === 'unhandled';
  return {
    probe(address) {
      if (!kernel.machine.tryStore32(address, 0xbad)) leaked.set(0, 1);
    },
    judge(setup) {
      const invariants = setup.invariants.filter(({ id }) => !warns || id !== 'I16');
      return { ...setup, invariants: [...invariants, refusals] };
    },
  };
}
