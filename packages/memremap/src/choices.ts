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
 * - `accessGate` — when enable and disable do nothing: while the static branch is off, as posted, so that a
 *   section during which the first device comes or the last one goes ends otherwise than it began; or only
 *   where there is no device key, so that count and key always move together.
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
      accessGate: 'staticBranch',
      mapKey: 'mapped',
    },
    'rfc-v3': {
      entryCount: 'borrowed',
      countNesting: 'nested',
      underflow: 'wraps',
      countCheck: 'none',
      branchGet: 'first',
      accessGate: 'staticBranch',
      mapKey: 'mapped',
    },
    v7: {
      entryCount: 'borrowed',
      countNesting: 'nested',
      underflow: 'wraps',
      countCheck: 'none',
      branchGet: 'first',
      accessGate: 'staticBranch',
      mapKey: 'mapped',
    },
    v10: {
      entryCount: 'borrowed',
      countNesting: 'nested',
      underflow: 'wraps',
      countCheck: 'none',
      branchGet: 'first',
      accessGate: 'staticBranch',
      mapKey: 'mapped',
    },
    reference: {
      entryCount: 'saved',
      countNesting: 'nested',
      underflow: 'warns',
      countCheck: 'warns',
      branchGet: 'whenReserved',
      accessGate: 'key',
      mapKey: 'mapped',
    },
  },
  values: {
    entryCount: ['saved', 'borrowed'],
    countNesting: ['nested', 'flat'],
    underflow: ['wraps', 'warns'],
    countCheck: ['none', 'warns'],
    branchGet: ['first', 'whenReserved'],
    accessGate: ['staticBranch', 'key'],
    mapKey: ['mapped', 'dropped'],
  },
  repairs: { 'D-22': { underflow: 'warns' }, 'branch-flips': { accessGate: 'key' } },
  sabotages: {
    'count-not-nested': { countNesting: 'flat' },
    'count-borrowed': { entryCount: 'borrowed' },
    'access-gated-by-branch': { accessGate: 'staticBranch' },
    'key-not-mapped': { mapKey: 'dropped' },
  },
};
