// SPDX-License-Identifier: MIT
// pmem's slice of each revision.

import type { ChoiceSlice } from '@pkslab/kernel';

/** What pmem_detach does first. */
export type DetachOrder = 'drainFirst' | 'unmapFirst';

/** When pmem_do_read and pmem_do_write open access. */
export type PmemGrant = 'on' | 'flagged' | 'off';

const RFC_V2 = {
  pmemProtection: 'set',
  pmemGrant: 'on',
  writeBack: 'done',
  flushFence: 'present',
  detachOrder: 'drainFirst',
} as const;

/**
 * - `pmemProtection` — whether pmem_attach_disk asks for protection [PATCH 16/17] (`clear` is for sabotage).
 * - `pmemGrant` — when pmem_do_read and pmem_do_write open access: always, for a raw namespace too, whose
 *   memory is not protected [PATCH 15/17]; where the device's page map has the flag (V7, V10); `off` is for
 *   sabotage.
 * - `writeBack` — whether a write's lines are on their way to the media when it returns, or it only says so
 *   (`reportedOnly` is for sabotage).
 * - `flushFence` — whether a flush fences before it asks the media (`missing` is for sabotage).
 * - `detachOrder` — whether a detach waits for I/O and dax users before it unmaps (`unmapFirst` is for sabotage).
 */
export const pmemChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': RFC_V2,
    'rfc-v3': RFC_V2,
    v7: { ...RFC_V2, pmemGrant: 'flagged' },
    v10: { ...RFC_V2, pmemGrant: 'flagged' },
    reference: RFC_V2,
  },
  texts: {
    pmemProtection: 'whether pmem_attach_disk asks for protection',
    pmemGrant: 'when pmem_do_read and pmem_do_write open access',
    writeBack: "whether a write's lines are on their way to the media when it returns",
    flushFence: 'whether a flush fences before it asks the media',
    detachOrder: 'whether a detach waits for users before it unmaps',
  },
  values: {
    pmemProtection: ['set', 'clear'],
    pmemGrant: ['on', 'flagged', 'off'],
    writeBack: ['done', 'reportedOnly'],
    flushFence: ['present', 'missing'],
    detachOrder: ['drainFirst', 'unmapFirst'],
  },
  repairs: {},
  sabotages: {
    'pmem-flag-not-set': { pmemProtection: 'clear' },
    'pmem-hook-removed': { pmemGrant: 'off' },
    'write-back-lost': { writeBack: 'reportedOnly' },
    'flush-without-fence': { flushFence: 'missing' },
    'detach-unmaps-first': { detachOrder: 'unmapFirst' },
  },
};
