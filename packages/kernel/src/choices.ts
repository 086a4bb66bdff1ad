// SPDX-License-Identifier: MIT
// The kernel's own slice of each revision.

import type { KeyFaultWarn } from './fault.ts';
import type { OnlineSetup } from './hotplug.ts';
import type { EntrySaveAt, NmiCoverage, StatePassing, XenUpcall } from './idtentry.ts';
import type { MisuseChecks } from './misuse.ts';
import type { ChoiceSlice } from './revision.ts';
import type { SchedHook } from './sched.ts';

const STATE_PASSING: readonly StatePassing[] = ['byValue', 'byReference'] as const;
const NMI_COVERED: readonly NmiCoverage[] = ['no', 'nmiAndMc', 'yes'] as const;
const SCHED_HOOK: readonly SchedHook[] = ['xtraOnly', 'switchEnd', 'beforeCurrent'] as const;
const ENTRY_SAVE_AT: readonly EntrySaveAt[] = ['beforeRcu', 'instrumentable'] as const;
const XEN_UPCALL: readonly XenUpcall[] = ['restores', 'forgotten'] as const;
const ONLINE_SETUP: readonly OnlineSetup[] = ['yes', 'no'] as const;
const MISUSE_CHECKS: readonly MisuseChecks[] = ['none', 'warn'] as const;
const KEY_FAULT_WARN: readonly KeyFaultWarn[] = ['unhandled', 'withoutPks'] as const;

/**
 * - `statePassing` — how idtentry_enter hands `idtentry_state` to what saves into it (D-01).
 * - `nmiCovered` — which entries of the NMI class save and restore, as ordinary entries do (D-03): none, #NMI and
 *   #MC (RFC V3), or #DB, #BP and #DF too. Entries from user mode, which V8 and later cover as well, save
 *   nothing here: the register is INIT there anyway.
 * - `schedHook` — where __switch_to calls the modules (D-08).
 * - `entrySaveAt` — whether an entry saves before RCU is told and outside instrumentation_begin and _end, or
 *   between them while RCU watches; its exit restores likewise (D-07).
 * - `xenUpcall` — whether xen_pv_evtchn_do_upcall restores where it leaves by idtentry_exit_cond_resched (D-14). All
 *   postings do: up to V7 by hand in the upcall, then as every exit does, which comes to the same.
 * - `onlineSetup` — whether a CPU that comes online again runs setup_pks and the like (`no` is for sabotage).
 * - `keyFaultWarn` — at which key faults on a kernel address do_kern_addr_fault has its WARN_ON_ONCE: at any that no
 *   hook handled, before the exception table and the oops (patch 08), or, later, only where there is no PKS.
 * - `misuseChecks` — whether an unlock of a lock that the caller does not hold, a mutex locked twice and schedule()
 *   with interrupts off are WARNs that leave everything as it was, or pass as in 5.8 without its debugging options.
 */
export const kernelChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': {
      statePassing: 'byValue',
      nmiCovered: 'no',
      schedHook: 'xtraOnly',
      entrySaveAt: 'beforeRcu',
      xenUpcall: 'restores',
      onlineSetup: 'yes',
      keyFaultWarn: 'unhandled',
      misuseChecks: 'none',
    },
    'rfc-v3': {
      statePassing: 'byReference',
      nmiCovered: 'nmiAndMc',
      schedHook: 'xtraOnly',
      entrySaveAt: 'beforeRcu',
      xenUpcall: 'restores',
      onlineSetup: 'yes',
      keyFaultWarn: 'withoutPks',
      misuseChecks: 'none',
    },
    v7: {
      statePassing: 'byReference',
      nmiCovered: 'yes',
      schedHook: 'switchEnd',
      entrySaveAt: 'beforeRcu',
      xenUpcall: 'restores',
      onlineSetup: 'yes',
      keyFaultWarn: 'withoutPks',
      misuseChecks: 'none',
    },
    v10: {
      statePassing: 'byReference',
      nmiCovered: 'yes',
      schedHook: 'beforeCurrent',
      entrySaveAt: 'instrumentable',
      xenUpcall: 'restores',
      onlineSetup: 'yes',
      keyFaultWarn: 'withoutPks',
      misuseChecks: 'none',
    },
    reference: {
      statePassing: 'byReference',
      nmiCovered: 'yes',
      schedHook: 'switchEnd',
      entrySaveAt: 'instrumentable',
      xenUpcall: 'restores',
      onlineSetup: 'yes',
      keyFaultWarn: 'withoutPks',
      misuseChecks: 'warn',
    },
  },
  values: {
    statePassing: STATE_PASSING,
    nmiCovered: NMI_COVERED,
    schedHook: SCHED_HOOK,
    entrySaveAt: ENTRY_SAVE_AT,
    xenUpcall: XEN_UPCALL,
    onlineSetup: ONLINE_SETUP,
    keyFaultWarn: KEY_FAULT_WARN,
    misuseChecks: MISUSE_CHECKS,
  },
  texts: {
    statePassing: 'how an entry hands its state to what saves into it',
    nmiCovered: 'which of #NMI, #MC, #DB, #BP and #DF save and restore, as ordinary entries do',
    schedHook: 'where __switch_to calls the modules',
    entrySaveAt: 'where in an entry the state is saved, and restored in its exit',
    xenUpcall: 'whether xen_pv_evtchn_do_upcall restores on its own way out',
    onlineSetup: 'whether a CPU that comes online again is set up',
    keyFaultWarn: 'at which key faults on a kernel address do_kern_addr_fault warns',
    misuseChecks: 'whether unlocks, recursive locks and schedule() with interrupts off are checked',
  },
  repairs: {
    'D-01': { statePassing: 'byReference' },
    'D-03': { nmiCovered: 'yes' },
    'D-07': { entrySaveAt: 'instrumentable' },
    'D-08': { schedHook: 'switchEnd' },
    'D-14': { xenUpcall: 'restores' },
  },
  sabotages: {
    'state-by-value': { statePassing: 'byValue' },
    'nmi-uncovered': { nmiCovered: 'no' },
    'switch-slow-path-only': { schedHook: 'xtraOnly' },
    'save-before-rcu': { entrySaveAt: 'beforeRcu' },
    'xen-upcall-forgets': { xenUpcall: 'forgotten' },
    'cpu-online-without-setup': { onlineSetup: 'no' },
  },
};
