// SPDX-License-Identifier: MIT
// dax's slice of each revision.

import type { ChoiceSlice } from '@pkslab/kernel';

/** What dax_read_unlock does first. */
export type DaxUnlockOrder = 'posted' | 'mirrored';

/** What dm-writecache does with the address that it got under the lock. */
export type WritecacheMap = 'keepsPointer' | 'ownMapping' | 'bracketed';

const RFC_V2 = {
  daxGrant: 'lockScope',
  daxAccessBy: 'pgmap',
  noaccessNeedsAlive: 'no',
  daxUnlockOrder: 'posted',
  daxLockGrant: 'on',
  supportedScope: 'expanded',
  writebackGrant: 'none',
  writecacheMap: 'keepsPointer',
  daxKill: 'waits',
} as const;

const V10 = {
  ...RFC_V2,
  daxGrant: 'accessScope',
  noaccessNeedsAlive: 'yes',
  daxUnlockOrder: 'mirrored',
  writebackGrant: 'held',
  writecacheMap: 'ownMapping',
} as const;

/**
 * - `daxGrant` — how long access is open: `lockScope`: as long as dax_read_lock is held [PATCH 14/17];
 *   `accessScope`: around each touch of the memory, with dax_set_readwrite and dax_set_noaccess (V7 on, D-59).
 * - `daxAccessBy` — how those two find the page map: by three operations of the driver (`operations`, V7), or
 *   because the dax_device knows its page map (`pgmap`, V9, V10).
 * - `noaccessNeedsAlive` — whether dax_set_noaccess asks, as dax_set_readwrite does, if the device is alive
 *   (V7, V10): for one that was killed in between, nothing is closed.
 * - `daxUnlockOrder` — `posted`: dax_read_unlock closes access before it leaves the SRCU section
 *   [PATCH 14/17]; `mirrored`: after, the reverse of dax_read_lock (RFC PKS/PMEM, D-16).
 * - `daxLockGrant` — whether dax_read_lock opens access at all, in `lockScope` (`off` is for sabotage).
 * - `supportedScope` — `expanded`: __generic_fsdax_supported keeps the lock until its last use of the
 *   addresses [PATCH 11/17]; `narrow`: drops it right after it has them, as before the patch.
 * - `writebackGrant` — `none`: dax_writeback_one flushes without access, as posted until V7; `held`: with it
 *   (V8, D-25).
 * - `writecacheMap` — `keepsPointer`: dm-writecache uses the address after dax_read_unlock (D-25);
 *   `ownMapping`: it maps protected pages for itself, with key 0 (V7 on); `bracketed`: it takes the lock for
 *   each use.
 * - `daxKill` — whether kill_dax waits for those who hold the lock (`returnsAtOnce` is for sabotage).
 */
export const daxChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': RFC_V2,
    'rfc-v3': { ...RFC_V2, daxUnlockOrder: 'mirrored' },
    v7: { ...V10, daxAccessBy: 'operations', writebackGrant: 'none' },
    v10: V10,
    reference: {
      ...RFC_V2,
      daxUnlockOrder: 'mirrored',
      writebackGrant: 'held',
      writecacheMap: 'bracketed',
    },
  },
  texts: {
    daxGrant: 'how long access is open',
    daxAccessBy: 'how access is opened for a dax device',
    noaccessNeedsAlive: 'whether closing access asks if the device is alive',
    daxUnlockOrder: 'whether dax_read_unlock closes access before or after it unlocks',
    daxLockGrant: 'whether dax_read_lock opens access at all',
    supportedScope: 'how long __generic_fsdax_supported keeps the lock',
    writebackGrant: 'whether dax_writeback_one flushes with access',
    writecacheMap: 'what dm-writecache does with its address after the lock',
    daxKill: 'whether kill_dax waits for those who hold the lock',
  },
  values: {
    daxGrant: ['lockScope', 'accessScope'],
    daxAccessBy: ['operations', 'pgmap'],
    noaccessNeedsAlive: ['no', 'yes'],
    daxUnlockOrder: ['posted', 'mirrored'],
    daxLockGrant: ['on', 'off'],
    supportedScope: ['expanded', 'narrow'],
    writebackGrant: ['none', 'held'],
    writecacheMap: ['keepsPointer', 'ownMapping', 'bracketed'],
    daxKill: ['waits', 'returnsAtOnce'],
  },
  repairs: {
    'D-16': { daxUnlockOrder: 'mirrored' },
    'D-25': { writebackGrant: 'held', writecacheMap: 'bracketed' },
    'readwrite-of-dead-device': { daxGrant: 'lockScope' },
    'noaccess-of-dead-device': { noaccessNeedsAlive: 'no' },
  },
  sabotages: {
    'dax-lock-grants-nothing': { daxLockGrant: 'off' },
    'dax-supported-scope-narrow': { supportedScope: 'narrow' },
    'dax-kill-does-not-wait': { daxKill: 'returnsAtOnce' },
    'dax-writeback-without-access': { writebackGrant: 'none' },
    'writecache-keeps-pointer': { writecacheMap: 'keepsPointer' },
  },
};
