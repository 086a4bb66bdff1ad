// SPDX-License-Identifier: MIT
// pks-core's slice of each revision.

import type { ChoiceSlice, Choices } from '@pkslab/kernel';

const RFC_V2: Choices = {
  keyAlloc: 'v2Bitmap',
  clearBit: 'locked',
  noPksErrno: 'EINVAL',
  verbs: 'update',
  initValue: 'constant',
  noAccess: '01b',
  initOrder: 'cr4First',
  firstWrite: 'compared',
  writePkrs: 'unconditional',
  updateScope: 'preemptOff',
  schedIn: 'compare',
  entrySaves: 'cache',
  globalGrants: 'none',
  globalPut: 'paired',
  abandon: 'none',
  keyCallbacks: 'none',
  forkPolicy: 'copy',
  execReset: 'saved',
  freePolicy: 'trusting',
  freeScope: 'thread',
  updatePolicy: 'trusting',
  updateStub: 'warns',
  oopsPkrs: 'never',
  bootReport: 'none',
};

const RFC_V3: Choices = {
  ...RFC_V2,
  keyAlloc: 'locklessBitmap',
  clearBit: 'plain',
  verbs: 'mk',
  noAccess: '11b',
  initOrder: 'pkrsFirst',
  writePkrs: 'selfContained',
  updateScope: 'preemptible',
  schedIn: 'global',
  entrySaves: 'cacheAndSaved',
  globalGrants: 'andCache',
  globalPut: 'unpaired',
  oopsPkrs: 'onKeyFault',
};

const V7: Choices = {
  ...RFC_V3,
  keyAlloc: 'static',
  clearBit: 'locked',
  noPksErrno: 'EOPNOTSUPP',
  verbs: 'mk_',
  initValue: 'earlyInitcall',
  noAccess: '01b',
  schedIn: 'mask',
  entrySaves: 'threadValue',
  globalGrants: 'none',
  globalPut: 'paired',
  abandon: 'mask',
  keyCallbacks: 'pastEnd',
  updateStub: 'silent',
  oopsPkrs: 'onKeyFaultWithPks',
};

const V10: Choices = {
  ...V7,
  verbs: 'set',
  initValue: 'constant',
  firstWrite: 'raw',
  writePkrs: 'asserting',
  updateScope: 'preemptOff',
  schedIn: 'plain',
  abandon: 'none',
  keyCallbacks: 'bounded',
  updatePolicy: 'bounded',
  oopsPkrs: 'whenOn',
};

const REFERENCE: Choices = {
  ...RFC_V2,
  keyAlloc: 'bitmap',
  initOrder: 'pkrsFirst',
  firstWrite: 'raw',
  updateScope: 'irqsOff',
  entrySaves: 'registerAndSaved',
  keyCallbacks: 'bounded',
  forkPolicy: 'init',
  execReset: 'savedAndRegister',
  freePolicy: 'checked',
  freeScope: 'everywhere',
  updatePolicy: 'checked',
  updateStub: 'silent',
  oopsPkrs: 'whenOn',
  bootReport: 'unprotected',
};

/**
 * - `keyAlloc` — a bitmap under a mutex, where each alloc that finds no key leaves a bit behind the keys set
 *   [PATCH 05/17]; the same without that; a bitmap without a mutex (RFC V3); or constants of the source (V7 to V10),
 *   where pks_key_alloc is an error.
 * - `clearBit` — whether the lockless free clears its bit as one operation between CPUs; `__clear_bit` does not.
 * - `noPksErrno` — what pks_key_alloc returns on a CPU without PKS.
 * - `verbs` — pks_update_protection alone; pks_mknoaccess … (RFC V3); pks_mk_noaccess … (V1 to V8);
 *   pks_set_noaccess … (V9, V10).
 * - `initValue` — whether the first register value is a constant or V7's variable, which an early initcall
 *   computes after the boot CPU has used it (D-17).
 * - `noAccess` — how "no access" is encoded: AD alone, or AD and WD, so that AND never grants (D-61).
 * - `initOrder` — whether CR4.PKS is set before or after the first value is written.
 * - `firstWrite` — whether that value is written raw, or through whatever `writePkrs` does, which may find the
 *   cache equal and write nothing (D-18).
 * - `writePkrs` — how cache and register are written: always; self-contained, get_cpu_ptr and a compare; or a compare
 *   and an assertion that preemption is off.
 * - `updateScope` — what keeps an update whole against the scheduler: preemption off around the writes; nothing (where
 *   `writePkrs` is not self-contained nobody posted that: D-10); or interrupts off from the first read on.
 * - `schedIn` — what the switch hook writes: the saved value if the cache differs; the saved value; the saved
 *   value AND V7's mask of abandoned keys; the saved value AND the global rights (`off` is for sabotage).
 * - `entrySaves` — what an entry keeps of the interrupted context: the cached register value alone
 *   [PATCH 17/17]; the saved value of the thread too (RFC V3); the thread's value alone (V4 to V10); or the
 *   register itself and the saved value, which is exact even between the two writes of an update, and resets the
 *   saved value for the handler.
 * - `globalGrants` — whether there are rights that all threads have (RFC PKS/PMEM).
 * - `globalPut` — whether a put_cpu_ptr follows each per_cpu_ptr of a revoke, which took no count (D-12).
 * - `abandon` — whether a key can be opened for good in every thread (V7, D-45).
 * - `keyCallbacks` — whether consumers are asked about a fault on their key, and whether their table is bounded:
 *   V7 compared with `>` (D-46).
 * - `forkPolicy` — whether a child starts with its parent's rights or with INIT (I11).
 * - `execReset` — whether exec writes the register too, or leaves that to the next switch.
 * - `freePolicy` — whether pks_key_free checks what it is given: whose key it is, and that no mapping carries it.
 * - `freeScope` — where it closes the key: in the calling thread, as posted; in what tasks have saved (for sabotage); or
 *   everywhere: while the other CPUs are stopped, in every task, and in what entries that are under way bring back
 *   (D-33, I9).
 * - `updatePolicy` — whether pks_update_protection checks what it is given: not at all, its upper bound (V10), or
 *   everything.
 * - `updateStub` — whether pks_update_protection without its Kconfig option is a WARN_ON_ONCE(1), which stops a
 *   machine with panic_on_warn (D-47), or nothing (V3 of the first numbered series on).
 * - `oopsPkrs` — whether an oops prints the rights of the context that faulted: never; on every key fault, PKS or
 *   not (RFC V3, D-49); on a key fault where there is PKS; whenever PKS is on.
 * - `bootReport` — whether boot says so on a CPU without PKS, where nothing is protected (`reference`).
 */
export const pksChoices: ChoiceSlice = {
  revisions: { 'rfc-v2': RFC_V2, 'rfc-v3': RFC_V3, v7: V7, v10: V10, reference: REFERENCE },
  texts: {
    keyAlloc: 'where keys come from: an allocator or the source',
    clearBit: 'whether a free without a lock clears its bit in one operation',
    noPksErrno: 'what pks_key_alloc returns without PKS',
    verbs: 'what drivers call to change their rights',
    initValue: 'where the first register value comes from',
    noAccess: 'how "no access" is encoded',
    initOrder: 'whether CR4.PKS or the first value of PKRS comes first',
    firstWrite: 'whether the first value is compared with the cache before it is written',
    writePkrs: 'how cache and register are written',
    updateScope: 'what keeps an update whole against the scheduler',
    schedIn: 'what the switch hook writes',
    entrySaves: "what an entry keeps of the interrupted context's rights",
    globalGrants: 'whether there are rights that all threads have',
    globalPut: 'whether the preemption count is right after a global revoke',
    abandon: 'whether a key can be opened for good in every thread',
    keyCallbacks: 'whether consumers are asked about faults, and whether their table is bounded',
    forkPolicy: "whether a child starts with its parent's rights",
    execReset: 'whether exec writes the register too',
    freePolicy: 'what pks_key_free checks',
    freeScope: 'where pks_key_free closes the key',
    updatePolicy: 'what pks_update_protection checks',
    updateStub: 'what pks_update_protection does where it is configured out',
    oopsPkrs: 'when an oops prints PKRS',
    bootReport: 'whether boot says that nothing is protected',
  },
  values: {
    keyAlloc: ['v2Bitmap', 'bitmap', 'locklessBitmap', 'static'],
    clearBit: ['plain', 'locked'],
    noPksErrno: ['EINVAL', 'EOPNOTSUPP'],
    verbs: ['update', 'mk', 'mk_', 'set'],
    initValue: ['constant', 'earlyInitcall'],
    noAccess: ['01b', '11b'],
    initOrder: ['cr4First', 'pkrsFirst'],
    firstWrite: ['compared', 'raw'],
    writePkrs: ['unconditional', 'selfContained', 'asserting'],
    updateScope: ['preemptOff', 'preemptible', 'irqsOff'],
    schedIn: ['compare', 'plain', 'mask', 'global', 'off'],
    entrySaves: ['nothing', 'cache', 'cacheAndSaved', 'threadValue', 'registerAndSaved'],
    globalGrants: ['none', 'andCache'],
    globalPut: ['unpaired', 'paired'],
    abandon: ['none', 'mask'],
    keyCallbacks: ['none', 'pastEnd', 'bounded'],
    forkPolicy: ['copy', 'init'],
    execReset: ['saved', 'savedAndRegister'],
    freePolicy: ['trusting', 'checked'],
    freeScope: ['thread', 'tasks', 'everywhere'],
    updatePolicy: ['trusting', 'bounded', 'checked'],
    updateStub: ['warns', 'silent'],
    oopsPkrs: ['never', 'onKeyFault', 'onKeyFaultWithPks', 'whenOn'],
    bootReport: ['none', 'unprotected'],
  },
  repairs: {
    'D-02': { entrySaves: 'registerAndSaved' },
    'D-04': { entrySaves: 'registerAndSaved' },
    'D-12': { globalGrants: 'none', globalPut: 'paired' },
    'D-17': { initValue: 'constant' },
    'D-18': { firstWrite: 'raw' },
    'D-33': { freePolicy: 'checked', freeScope: 'everywhere' },
    'D-45': { abandon: 'none' },
    'D-46': { keyCallbacks: 'bounded' },
    'D-47': { updateStub: 'silent' },
    'D-49': { oopsPkrs: 'whenOn' },
    'fork-inherits': { forkPolicy: 'init' },
    'exec-keeps-register': { execReset: 'savedAndRegister' },
    'compared-write': { writePkrs: 'unconditional' },
    // Either alone ends it: nobody can come between a read and a write while all others stand still.
    'lockless-free': { clearBit: 'locked', freeScope: 'everywhere' },
  },
  sabotages: {
    'entry-saves-nothing': { entrySaves: 'nothing' },
    'saved-not-preserved': { entrySaves: 'cache' },
    'switch-writes-nothing': { schedIn: 'off' },
    'free-closes-one-thread': { freeScope: 'thread' },
    'free-skips-entries': { freeScope: 'tasks' },
    'update-preemptible': { updateScope: 'preemptible' },
    'fork-copies-rights': { forkPolicy: 'copy' },
    'boot-cpu-open': { initValue: 'earlyInitcall' },
    'write-compares-first': { writePkrs: 'selfContained' },
    'exec-leaves-register': { execReset: 'saved' },
    'free-asks-nobody': { freePolicy: 'trusting' },
    'free-not-atomic': { keyAlloc: 'locklessBitmap', clearBit: 'plain', freeScope: 'tasks' },
  },
};
