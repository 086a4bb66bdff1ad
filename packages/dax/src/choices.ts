// SPDX-License-Identifier: MIT
// dax's slice of each revision.

import type { ChoiceSlice } from '@pkslab/kernel';

/** What dax_read_unlock does first. */
export type DaxUnlockOrder = 'posted' | 'mirrored';

/**
 * - `daxUnlockOrder` — `posted`: dax_read_unlock closes access before it leaves the SRCU section
 *   [PATCH 14/17]; `mirrored`: after, the reverse of dax_read_lock (D-16).
 * - `daxLockGrant` — whether dax_read_lock opens access at all (`off` is for sabotage).
 * - `supportedScope` — `expanded`: __generic_fsdax_supported keeps the lock until its last use of the
 *   addresses [PATCH 11/17]; `narrow`: drops it right after it has them, as before the patch.
 * - `writebackGrant` — `none`: dax_writeback_one flushes without access, as posted; `held`: with it (D-25).
 * - `daxKill` — whether kill_dax waits for those who hold the lock (`returnsAtOnce` is for sabotage).
 */
export const daxChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': {
      daxUnlockOrder: 'posted',
      daxLockGrant: 'on',
      supportedScope: 'expanded',
      writebackGrant: 'none',
      daxKill: 'waits',
    },
    'rfc-v3': {
      daxUnlockOrder: 'mirrored',
      daxLockGrant: 'on',
      supportedScope: 'expanded',
      writebackGrant: 'none',
      daxKill: 'waits',
    },
    v7: {
      daxUnlockOrder: 'mirrored',
      daxLockGrant: 'on',
      supportedScope: 'expanded',
      writebackGrant: 'none',
      daxKill: 'waits',
    },
    v10: {
      daxUnlockOrder: 'mirrored',
      daxLockGrant: 'on',
      supportedScope: 'expanded',
      writebackGrant: 'none',
      daxKill: 'waits',
    },
    reference: {
      daxUnlockOrder: 'mirrored',
      daxLockGrant: 'on',
      supportedScope: 'expanded',
      writebackGrant: 'held',
      daxKill: 'waits',
    },
  },
  values: {
    daxUnlockOrder: ['posted', 'mirrored'],
    daxLockGrant: ['on', 'off'],
    supportedScope: ['expanded', 'narrow'],
    writebackGrant: ['none', 'held'],
    daxKill: ['waits', 'returnsAtOnce'],
  },
  repairs: {
    'D-16': { daxUnlockOrder: 'mirrored' },
    'D-25': { writebackGrant: 'held' },
  },
  sabotages: {
    'dax-lock-grants-nothing': { daxLockGrant: 'off' },
    'dax-supported-scope-narrow': { supportedScope: 'narrow' },
    'dax-kill-does-not-wait': { daxKill: 'returnsAtOnce' },
  },
};
