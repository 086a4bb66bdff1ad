// SPDX-License-Identifier: MIT
// kmap's slice of each revision.

import type { ChoiceSlice } from '@pkslab/kernel';

/** What kmap of a protected page does. */
export type KmapPolicy = 'grant' | 'local' | 'global' | 'flagged' | 'unsupported';

const RFC_V2 = {
  kmapPolicy: 'grant',
  kmapVariant: 'none',
  kmapHook: 'on',
  kmapMightSleep: 'checked',
} as const;

/**
 * - `kmapPolicy` — `grant`: kmap opens the page's key for the caller, and says nothing of others who get
 *   the address [PATCH 13/17]; `global`: it opens the key for every task, since addresses are handed over
 *   (RFC PKS/PMEM); `flagged`: it opens nothing, and a WARN_ONCE says that it is invalid (V7); `unsupported`: it
 *   opens nothing and says nothing (V9, V10); `local`: the address belongs to the context that mapped it, and
 *   use elsewhere is refused with a WARN that names both (D-11).
 * - `kmapVariant` — what there is besides kmap and kmap_atomic: `thread`: kmap_thread, for the caller alone
 *   (RFC PKS/PMEM); `local`: kmap_local_page (Linux 5.11, so V7 on, and `reference`).
 * - `kmapHook` — whether mapping enables access at all (`off` is for sabotage).
 * - `kmapMightSleep` — whether kmap says so where its caller must not sleep (CONFIG_DEBUG_ATOMIC_SLEEP).
 */
export const kmapChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': RFC_V2,
    'rfc-v3': { ...RFC_V2, kmapPolicy: 'global', kmapVariant: 'thread' },
    v7: { ...RFC_V2, kmapPolicy: 'flagged', kmapVariant: 'local' },
    v10: { ...RFC_V2, kmapPolicy: 'unsupported', kmapVariant: 'local' },
    reference: { ...RFC_V2, kmapPolicy: 'local', kmapVariant: 'local' },
  },
  texts: {
    kmapPolicy: 'what kmap of a protected page does',
    kmapVariant: 'what there is besides kmap and kmap_atomic',
    kmapHook: 'whether mapping enables access at all',
    kmapMightSleep: 'whether kmap complains where its caller must not sleep',
  },
  values: {
    kmapPolicy: ['grant', 'local', 'global', 'flagged', 'unsupported'],
    kmapVariant: ['none', 'thread', 'local'],
    kmapHook: ['on', 'off'],
    kmapMightSleep: ['checked', 'unchecked'],
  },
  repairs: { 'D-11': { kmapPolicy: 'local' } },
  sabotages: {
    'kmap-hook-removed': { kmapHook: 'off' },
    'kmap-sleep-unchecked': { kmapMightSleep: 'unchecked' },
  },
};
