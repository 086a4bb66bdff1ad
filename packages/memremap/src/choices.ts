// SPDX-License-Identifier: MIT
// memremap's slice of each revision.

import type { ChoiceSlice } from '@pkslab/kernel';

/** Which posting's names enable, disable and the count have. */
export type GrantVerbs = 'devAccess' | 'pgmapMk' | 'pgmapSet';

const RFC_V2 = {
  grantVerbs: 'devAccess',
  grantCounting: 'perTask',
  countProtection: 'localIrqSave',
  entryCount: 'saved',
  countNesting: 'nested',
  underflow: 'wraps',
  countCheck: 'none',
  countFork: 'zero',
  branchGet: 'first',
  branchCounting: 'incDec',
  managedPut: 'always',
  accessGate: 'staticBranch',
  mapKey: 'mapped',
  protectionFlag: 'always',
  protectionUnavailable: 'unprotected',
  unmapWait: 'waits',
  faultMode: 'none',
  faultModeParsing: 'exact',
  faultRelief: 'updateException',
} as const;

const V10 = {
  ...RFC_V2,
  grantVerbs: 'pgmapSet',
  countFork: 'inherited',
  countProtection: 'none',
  entryCount: 'borrowed',
  managedPut: 'matching',
  accessGate: 'key',
  protectionFlag: 'whenAvailable',
  protectionUnavailable: 'refused',
  faultMode: 'relaxed',
} as const;

/**
 * - `grantVerbs` — the names of the verbs and of the count: `dev_access_enable`, `dev_page_access_ref`
 *   [PATCH 12/17]; `__pgmap_mk_readwrite`, `pgmap_prot_count` (V7), which a child inherits;
 *   `__pgmap_set_readwrite` (V10).
 * - `grantCounting` — what lets grants nest: a count of the task, as posted; a count of the CPU, with
 *   preemption off in the section or without (D-58); or a cookie that the caller keeps (D-05).
 * - `countProtection` — what keeps count and key together: interrupts off [PATCH 12/17]; an atomic counter; a
 *   spinlock with interrupts off, which waits for itself; or nothing (V7, V10: a plain `count++` first).
 * - `entryCount` — whether an entry keeps and zeroes the interrupted task's count [PATCH 17/17]; RFC V3 took
 *   it out of the entry code again (D-05).
 * - `countNesting` — whether enable and disable count (`flat` is for sabotage).
 * - `underflow` — what a surplus disable does: wraps as posted (D-22), or is refused with a WARN.
 * - `countCheck` — whether exec and exit look at the count, which must be 0 there (I6).
 * - `countFork` — whether a child's count is 0, or its parent's, since the field is copied with the rest (V7, V10).
 * - `branchGet` — when memremap_pages takes the static branch: first, and never gives it back on an error
 *   path [PATCH 12/17], or once the range is its own.
 * - `branchCounting` — static_branch_inc and dec [PATCH 09/17], or an atomic counter before them, as the code
 *   had it before: a second user goes on while the first is still patching (D-15).
 * - `managedPut` — when memunmap_pages puts devmap_managed_key: `always`, though memremap_pages gets it for
 *   PRIVATE and FS_DAX only, so that unbinding a device-dax takes it below 0 (D-24); or `matching`.
 * - `accessGate` — when enable and disable do nothing: while the static branch is off, as posted first, so
 *   that a section during which the first device comes or the last one goes ends otherwise than it began; or
 *   only where there is no device key, so that count and key always move together. V7 and V10 ask the page
 *   or the flag of its map before they call.
 * - `mapKey` — whether the key reaches the mapping (`dropped` is for sabotage).
 * - `protectionFlag` — when drivers ask for protection: always [PATCH 16/17], or where
 *   pgmap_protection_available() says that there is some (V7).
 * - `protectionUnavailable` — what memremap_pages does where protection is asked for and there is no key: maps
 *   without, as posted first; maps without and says so in the log, unless it is configured out; or −EINVAL (V7).
 * - `unmapWait` — whether memunmap_pages waits for those who hold pages (`returnsAtOnce` is for sabotage).
 * - `faultMode` — what the device key's faults become: no callback; `relaxed`: the access goes through, and a
 *   WARN_ONCE says so; `strict`: an oops. What `memremap.pks_fault_mode` is at boot (V7).
 * - `faultModeParsing` — whether the parameter's `relaxed` selects strict, and all else relaxed (V7, D-46).
 * - `faultRelief` — how relaxed mode lets an access through: the key is abandoned for ever and everybody (V7,
 *   D-45), or opened for the thread that faulted (V10).
 */
export const memremapChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': RFC_V2,
    'rfc-v3': { ...RFC_V2, entryCount: 'borrowed' },
    v7: { ...V10, grantVerbs: 'pgmapMk', faultModeParsing: 'inverted', faultRelief: 'abandon' },
    v10: V10,
    reference: {
      ...RFC_V2,
      underflow: 'warns',
      countCheck: 'warns',
      branchGet: 'whenReserved',
      managedPut: 'matching',
      accessGate: 'key',
      protectionUnavailable: 'reported',
    },
  },
  texts: {
    grantVerbs: 'whose names enable, disable and the count have',
    grantCounting: 'what lets grants nest',
    countProtection: 'what keeps count and key together',
    entryCount: "whether an entry keeps and zeroes the interrupted task's count",
    countNesting: 'whether enable and disable count',
    underflow: 'what a surplus disable does',
    countFork: 'what count a child starts with',
    countCheck: 'whether exec and exit look at the count',
    branchGet: 'when memremap_pages takes the static branch',
    branchCounting: 'how users of the static branch are counted',
    managedPut: 'when memunmap_pages puts devmap_managed_key',
    accessGate: 'when enable and disable do nothing',
    mapKey: 'whether the key reaches the mapping',
    protectionFlag: 'when drivers ask for protection',
    protectionUnavailable: 'what memremap_pages does where there is no key to protect with',
    unmapWait: 'whether memunmap_pages waits for those who hold pages',
    faultMode: "what the device key's faults become",
    faultModeParsing: 'how memremap.pks_fault_mode is read',
    faultRelief: 'how relaxed mode lets an access through',
  },
  values: {
    grantVerbs: ['devAccess', 'pgmapMk', 'pgmapSet'],
    grantCounting: ['perTask', 'perCpuPreemptOff', 'perCpu', 'cookie'],
    countProtection: ['localIrqSave', 'atomicCounter', 'spinLockIrq', 'none'],
    entryCount: ['saved', 'borrowed'],
    countNesting: ['nested', 'flat'],
    underflow: ['wraps', 'warns'],
    countCheck: ['none', 'warns'],
    branchGet: ['first', 'whenReserved'],
    branchCounting: ['incDec', 'atomicCounter'],
    managedPut: ['always', 'matching'],
    accessGate: ['staticBranch', 'key'],
    countFork: ['inherited', 'zero'],
    mapKey: ['mapped', 'dropped'],
    protectionFlag: ['always', 'whenAvailable'],
    protectionUnavailable: ['unprotected', 'reported', 'refused'],
    unmapWait: ['waits', 'returnsAtOnce'],
    faultMode: ['none', 'relaxed', 'strict'],
    faultModeParsing: ['exact', 'inverted'],
    faultRelief: ['abandon', 'updateException'],
  },
  repairs: {
    'D-15': { branchCounting: 'incDec' },
    'D-22': { underflow: 'warns' },
    'D-24': { managedPut: 'matching' },
    'D-45': { faultRelief: 'updateException' },
    'D-46': { faultModeParsing: 'exact' },
    'branch-flips': { accessGate: 'key' },
    'relaxed-faults': { faultMode: 'none' },
    'fork-inherits': { countFork: 'zero' },
    'handler-borrows': { entryCount: 'saved' },
  },
  sabotages: {
    'count-not-nested': { countNesting: 'flat' },
    'count-borrowed': { entryCount: 'borrowed' },
    'underflow-wraps': { underflow: 'wraps' },
    'fork-copies-count': { countFork: 'inherited' },
    'access-gated-by-branch': { accessGate: 'staticBranch' },
    'branch-counted-twice': { branchCounting: 'atomicCounter' },
    'managed-put-always': { managedPut: 'always' },
    'key-not-mapped': { mapKey: 'dropped' },
    'unmap-does-not-wait': { unmapWait: 'returnsAtOnce' },
  },
};
