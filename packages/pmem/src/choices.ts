// SPDX-License-Identifier: MIT
// pmem's slice of each revision.

import type { ChoiceSlice } from '@pkslab/kernel';

/** What pmem_detach does first. */
export type DetachOrder = 'drainFirst' | 'unmapFirst';

/**
 * - `pmemProtection` — whether pmem_attach_disk sets PGMAP_PROT_ENABLED [PATCH 16/17] (`clear` is for sabotage).
 * - `pmemGrant` — whether pmem_do_read and pmem_do_write open access [PATCH 15/17] (`off` is for sabotage).
 * - `writeBack` — whether a write's lines are on their way to the media when it returns, or it only says so
 *   (`reportedOnly` is for sabotage).
 * - `flushFence` — whether a flush fences before it asks the media (`missing` is for sabotage).
 * - `detachOrder` — whether a detach waits for I/O and dax users before it unmaps (`unmapFirst` is for sabotage).
 *
 * The posted code has no reported defect in this package, so all revisions are the same.
 */
export const pmemChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': {
      pmemProtection: 'set',
      pmemGrant: 'on',
      writeBack: 'done',
      flushFence: 'present',
      detachOrder: 'drainFirst',
    },
    'rfc-v3': {
      pmemProtection: 'set',
      pmemGrant: 'on',
      writeBack: 'done',
      flushFence: 'present',
      detachOrder: 'drainFirst',
    },
    v7: {
      pmemProtection: 'set',
      pmemGrant: 'on',
      writeBack: 'done',
      flushFence: 'present',
      detachOrder: 'drainFirst',
    },
    v10: {
      pmemProtection: 'set',
      pmemGrant: 'on',
      writeBack: 'done',
      flushFence: 'present',
      detachOrder: 'drainFirst',
    },
    reference: {
      pmemProtection: 'set',
      pmemGrant: 'on',
      writeBack: 'done',
      flushFence: 'present',
      detachOrder: 'drainFirst',
    },
  },
  values: {
    pmemProtection: ['set', 'clear'],
    pmemGrant: ['on', 'off'],
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
