// SPDX-License-Identifier: MIT
// memremap's slice of each revision.

import type { ChoiceSlice } from '@pkslab/kernel';

/**
 * - `entryCount` — whether an entry keeps and zeroes the interrupted task's count [PATCH 17/17].
 * - `countNesting` — whether enable and disable count (`flat` is for sabotage).
 * - `countForkPolicy` — dup_task_struct zeroes the count.
 * - `underflow` — what a surplus disable does: wraps as posted (D-22), or is refused with a WARN.
 * - `mapKey` — whether the key reaches the mapping (`dropped` is for sabotage).
 */
export const memremapChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': {
      entryCount: 'saved',
      countNesting: 'nested',
      underflow: 'wraps',
      mapKey: 'mapped',
    },
    reference: {
      entryCount: 'saved',
      countNesting: 'nested',
      underflow: 'warns',
      mapKey: 'mapped',
    },
  },
  values: {
    entryCount: ['saved', 'borrowed'],
    countNesting: ['nested', 'flat'],
    underflow: ['wraps', 'warns'],
    mapKey: ['mapped', 'dropped'],
  },
  repairs: { 'D-22': { underflow: 'warns' } },
  sabotages: {
    'count-not-nested': { countNesting: 'flat' },
    'count-borrowed': { entryCount: 'borrowed' },
    'key-not-mapped': { mapKey: 'dropped' },
  },
};
