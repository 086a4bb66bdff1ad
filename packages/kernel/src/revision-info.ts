// SPDX-License-Identifier: MIT
// What each revision is: which posting, when, and what it changed and why.

import type { RevisionName } from './revision.ts';

/** One revision, for people who choose between them. */
export interface RevisionInfo {
  readonly title: string;
  /** When it was posted, ISO 8601; null for the one that was not. */
  readonly date: string | null;
  /** Of its cover letters; `https://lore.kernel.org/r/<id>` has the thread. */
  readonly messageIds: readonly string[];
  /** Patches of the posting. */
  readonly patches: number;
  /** What changed since the one before, and why: a sentence each. */
  readonly changes: readonly string[];
}

/** RFC V2's features, repaired: the default. */
const reference: RevisionInfo = {
  title: 'RFC V2 with its defects repaired',
  date: null,
  messageIds: [],
  patches: 0,
  changes: [
    'Keeps the features of RFC V2: keys at run time, one key for device memory, a count for each task that entries save.',
    'An entry keeps register, cache and saved value, each by itself, so that it is exact between the writes of an update.',
    'The switch hook is unconditional, NMIs and machine checks are covered, a new task starts without rights.',
    'Misuse of a key is refused with a WARN that carries the caller.',
    'docs/reference-design.md says what was wrong, what it does, and why that holds.',
  ],
};

/** RFC V2, 17 July 2020: the series that is modelled patch by patch. */
const rfcV2: RevisionInfo = {
  title: 'RFC V2: PKS: Add Protection Keys Supervisor (PKS) support',
  date: '2020-07-17',
  messageIds: ['20200717072056.73134-1-ira.weiny@intel.com'],
  patches: 17,
  changes: [
    'Static branches are counted by static_branch_inc and static_branch_dec, since a mutex and a counter around them race (D-15).',
    'New last patch: exceptions and interrupts start with the initial PKRS; its state is passed by value, so what is saved is lost (D-01).',
    'The switch hook sits in the slow path of __switch_to, which ordinary tasks do not take (D-08).',
  ],
};

/** RFC V3 of the core with the RFC PKS/PMEM series, both of 9 October 2020. */
const rfcV3: RevisionInfo = {
  title: 'RFC V3 (core) with RFC PKS/PMEM (58 patches)',
  date: '2020-10-09',
  messageIds: [
    '20201009194258.3207172-1-ira.weiny@intel.com',
    '20201009195033.3208459-1-ira.weiny@intel.com',
  ],
  patches: 67,
  changes: [
    'irqentry state is passed by reference through all entry code, and keeps saved value and cache, so that a handler cannot damage the thread that it interrupted.',
    'NMIs and machine checks save and restore too (D-03).',
    'write_pkrs is self-contained: get_cpu_ptr, a compare with the cache, both writes, put_cpu_ptr (D-10).',
    'PKRS has its first value before CR4.PKS is set.',
    'Drivers use pks_mknoaccess, pks_mkread and pks_mkrdwr; keys come from a bitmap without a lock.',
    'kmap() addresses are handed between threads, so PKS/PMEM makes its grants global: lazy to give, an interrupt to every CPU to take away (D-12).',
    'For the AND with the global value every "no access" is 11b (D-61).',
    'An oops on a protection key prints PKRS, on CPUs without it too (D-49).',
  ],
};

/** V7, 3 August 2021: static keys, abandoned keys, fault callbacks. */
const v7: RevisionInfo = {
  title: 'V7: PKS/PMEM: Add Stray Write Protection',
  date: '2021-08-03',
  messageIds: ['20210804043231.2655537-1-ira.weiny@intel.com'],
  patches: 18,
  changes: [
    'Keys are static: an enum and defaults of its consumers, so that lookup needs no state and cannot fail.',
    'The first PKRS value is computed by an early initcall, which is too late for the boot CPU (D-17).',
    'The saved value of the thread lives in extended pt_regs (V4), and the switch hook at the end of __switch_to (V4).',
    'Global grants and kmap() are gone; kmap_local_page and kmap_atomic are hooked, with a count for each task that entries do not save.',
    'pks_abandon_protections opens a key for good in every thread, as a relief valve (D-45).',
    'Consumers have fault callbacks; their table is bounded one too far (D-46).',
    'memremap.pks_fault_mode is relaxed or strict, and read the wrong way round (D-46).',
  ],
};

/** V10, 19 April 2022: the last that was posted. */
const v10: RevisionInfo = {
  title: 'V10: PKS/PMEM: Add Stray Write Protection (the last posting)',
  date: '2022-04-19',
  messageIds: ['20220419170649.1022246-1-ira.weiny@intel.com'],
  patches: 44,
  changes: [
    'PKS_INIT_VALUE is a constant of the compiler, and the first write is raw (V8: D-17, D-18).',
    'Saving and restoring runs inside an instrumentable region (V8: D-07), in generic auxiliary pt_regs (V8: D-19).',
    'pks_write_pkrs asserts that preemption is off instead of switching it off (V8).',
    'Abandoned keys are gone; pks_update_exception gives one faulting thread access (V8).',
    'Keys are numbered by PKS_NEW_KEY; the verbs are pks_set_noaccess and pks_set_readwrite (V9).',
    'x86_pkrs_load comes right after x86_pkru_load, before current is the next task (V9).',
    'Grants are around the access itself, no longer around dax_read_lock (V8).',
    'The test programme is rewritten: a session for each open file, callbacks, pipes between the processes (V9).',
    'An oops prints PKRS whenever the feature is on.',
  ],
};

/**
 * What is known of every revision, by its name.
 *
 * @example
 * revisionInfo.v10.date; // => '2022-04-19'
 */
export const revisionInfo: Readonly<Record<RevisionName, RevisionInfo>> = Object.freeze({
  reference,
  'rfc-v2': rfcV2,
  'rfc-v3': rfcV3,
  v7,
  v10,
});
