// SPDX-License-Identifier: MIT
// The kernel's own slice of each revision.

import type { NmiCoverage, StatePassing } from './entry.ts';
import type { ChoiceSlice } from './revision.ts';
import type { SchedHook } from './sched.ts';

const STATE_PASSING: readonly StatePassing[] = ['byValue', 'byReference'] as const;
const NMI_COVERED: readonly NmiCoverage[] = ['no', 'yes'] as const;
const SCHED_HOOK: readonly SchedHook[] = ['xtraOnly', 'switchEnd', 'beforeCurrent'] as const;

/**
 * - `statePassing` — how idtentry_enter hands `idtentry_state` to what saves into it (D-01).
 * - `nmiCovered` — whether #NMI and #MC save and restore, as ordinary entries do (D-03).
 * - `schedHook` — where __switch_to calls the modules (D-08).
 */
export const kernelChoices: ChoiceSlice = {
  revisions: {
    'rfc-v2': { statePassing: 'byValue', nmiCovered: 'no', schedHook: 'xtraOnly' },
    'rfc-v3': { statePassing: 'byReference', nmiCovered: 'yes', schedHook: 'xtraOnly' },
    v7: { statePassing: 'byReference', nmiCovered: 'yes', schedHook: 'switchEnd' },
    v10: { statePassing: 'byReference', nmiCovered: 'yes', schedHook: 'beforeCurrent' },
    reference: { statePassing: 'byReference', nmiCovered: 'yes', schedHook: 'switchEnd' },
  },
  texts: {
    statePassing: 'how an entry hands its state to what saves into it',
    nmiCovered: 'whether #NMI and #MC save and restore, as ordinary entries do',
    schedHook: 'where __switch_to calls the modules',
  },
  values: { statePassing: STATE_PASSING, nmiCovered: NMI_COVERED, schedHook: SCHED_HOOK },
  repairs: {
    'D-01': { statePassing: 'byReference' },
    'D-03': { nmiCovered: 'yes' },
    'D-08': { schedHook: 'switchEnd' },
  },
  sabotages: {
    'state-by-value': { statePassing: 'byValue' },
    'nmi-uncovered': { nmiCovered: 'no' },
    'switch-slow-path-only': { schedHook: 'xtraOnly' },
  },
};
