// SPDX-License-Identifier: MIT
// pks-core's slice of each revision.

import type { ChoiceSlice } from '@pkslab/kernel';

/**
 * - `entrySaves` — what an entry keeps of the interrupted context: the cached register value alone
 *   [PATCH 17/17], the saved value of the thread too (RFC V3), or the register itself and the saved value,
 *   which is exact even between the two writes of an update.
 * - `schedIn` — whether the switch hook writes the register (`off` is for sabotage).
 * - `initOrder` — whether CR4.PKS is set before or after the first value is written.
 * - `forkPolicy` — whether a child starts with its parent's rights or with INIT (I11).
 * - `freePolicy` — whether pks_key_free checks what it is given.
 */
export const pksChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': {
      entrySaves: 'cache',
      schedIn: 'on',
      initOrder: 'cr4First',
      forkPolicy: 'copy',
      freePolicy: 'trusting',
    },
    reference: {
      entrySaves: 'registerAndSaved',
      schedIn: 'on',
      initOrder: 'pkrsFirst',
      forkPolicy: 'init',
      freePolicy: 'checked',
    },
  },
  values: {
    entrySaves: ['nothing', 'cache', 'cacheAndSaved', 'registerAndSaved'],
    schedIn: ['on', 'off'],
    initOrder: ['cr4First', 'pkrsFirst'],
    forkPolicy: ['copy', 'init'],
    freePolicy: ['trusting', 'checked'],
  },
  repairs: {
    'D-02': { entrySaves: 'registerAndSaved' },
    'D-04': { entrySaves: 'registerAndSaved' },
  },
  sabotages: {
    'entry-saves-nothing': { entrySaves: 'nothing' },
    'saved-not-preserved': { entrySaves: 'cache' },
    'switch-writes-nothing': { schedIn: 'off' },
    'fork-copies-rights': { forkPolicy: 'copy' },
  },
};
