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
 * - `updatePolicy` — whether pks_update_protection checks what it is given.
 * - `execReset` — whether exec writes the register too, or leaves that to the next switch.
 * - `oopsPkrs` — whether an oops prints the rights of the context that faulted (D-49: never without PKS).
 */
export const pksChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': {
      entrySaves: 'cache',
      schedIn: 'on',
      initOrder: 'cr4First',
      forkPolicy: 'copy',
      freePolicy: 'trusting',
      updatePolicy: 'trusting',
      execReset: 'saved',
      oopsPkrs: 'no',
    },
    'rfc-v3': {
      entrySaves: 'cacheAndSaved',
      schedIn: 'on',
      initOrder: 'pkrsFirst',
      forkPolicy: 'copy',
      freePolicy: 'trusting',
      updatePolicy: 'trusting',
      execReset: 'saved',
      oopsPkrs: 'yes',
    },
    v7: {
      entrySaves: 'cacheAndSaved',
      schedIn: 'on',
      initOrder: 'pkrsFirst',
      forkPolicy: 'copy',
      freePolicy: 'trusting',
      updatePolicy: 'trusting',
      execReset: 'saved',
      oopsPkrs: 'yes',
    },
    v10: {
      entrySaves: 'cacheAndSaved',
      schedIn: 'on',
      initOrder: 'pkrsFirst',
      forkPolicy: 'copy',
      freePolicy: 'trusting',
      updatePolicy: 'trusting',
      execReset: 'saved',
      oopsPkrs: 'yes',
    },
    reference: {
      entrySaves: 'registerAndSaved',
      schedIn: 'on',
      initOrder: 'pkrsFirst',
      forkPolicy: 'init',
      freePolicy: 'checked',
      updatePolicy: 'checked',
      execReset: 'savedAndRegister',
      oopsPkrs: 'yes',
    },
  },
  values: {
    entrySaves: ['nothing', 'cache', 'cacheAndSaved', 'registerAndSaved'],
    schedIn: ['on', 'off'],
    initOrder: ['cr4First', 'pkrsFirst'],
    forkPolicy: ['copy', 'init'],
    freePolicy: ['trusting', 'checked'],
    updatePolicy: ['trusting', 'checked'],
    execReset: ['saved', 'savedAndRegister'],
    oopsPkrs: ['no', 'yes'],
  },
  repairs: {
    'D-02': { entrySaves: 'registerAndSaved' },
    'D-04': { entrySaves: 'registerAndSaved' },
    'fork-inherits': { forkPolicy: 'init' },
  },
  sabotages: {
    'entry-saves-nothing': { entrySaves: 'nothing' },
    'saved-not-preserved': { entrySaves: 'cache' },
    'switch-writes-nothing': { schedIn: 'off' },
    'fork-copies-rights': { forkPolicy: 'copy' },
  },
};
