// SPDX-License-Identifier: MIT
// memremap's slice of each revision.

import type { ChoiceSlice } from '@pkslab/kernel';

/**
 * - `entryCount` — whether an entry keeps and zeroes the interrupted task's count [PATCH 17/17].
 * - `countNesting` — whether enable and disable count (`flat` is for sabotage).
 * - `underflow` — what a surplus disable does: wraps as posted (D-22), or is refused with a WARN.
 * - `countCheck` — whether exec and exit look at the count, which must be 0 there (I6).
 * - `branchGet` — when memremap_pages takes the static branch: first, and never gives it back on an error
 *   path [PATCH 12/17], or once the range is its own.
 * - `mapKey` — whether the key reaches the mapping (`dropped` is for sabotage).
 */
export const memremapChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': {
      entryCount: 'saved',
      countNesting: 'nested',
      underflow: 'wraps',
      countCheck: 'none',
      branchGet: 'first',
      mapKey: 'mapped',
    },
    reference: {
      entryCount: 'saved',
      countNesting: 'nested',
      underflow: 'warns',
      countCheck: 'warns',
      branchGet: 'whenReserved',
      mapKey: 'mapped',
    },
  },
  values: {
    entryCount: ['saved', 'borrowed'],
    countNesting: ['nested', 'flat'],
    underflow: ['wraps', 'warns'],
    countCheck: ['none', 'warns'],
    branchGet: ['first', 'whenReserved'],
    mapKey: ['mapped', 'dropped'],
  },
  repairs: { 'D-22': { underflow: 'warns' } },
  sabotages: {
    'count-not-nested': { countNesting: 'flat' },
    'count-borrowed': { entryCount: 'borrowed' },
    'key-not-mapped': { mapKey: 'dropped' },
  },
};
