// SPDX-License-Identifier: MIT
// The accesses that cases of the conformance vectors make.

import type { AccessKind, AccessMode } from './access.ts';

/** What a case does. */
export type VectorAction =
  | 'access' // a load, store, fetch or read-modify-write of 8 bytes at the page's start
  | 'segment' // a segment load whose descriptor lies there, its accessed bit as `accessed` says
  | 'gate' // an interrupt whose IDT gate lies there
  | 'push'; // an interrupt from CPL 3 whose CPL 0 stack lies there

/** The access of a case. */
export interface VectorAccess {
  readonly name: string;
  readonly action: VectorAction;
  readonly kind: AccessKind;
  readonly readModifyWrite: boolean;
  readonly cpl: 0 | 3;
  /** For `segment`: the descriptor's accessed bit is set, so that nothing is written. */
  readonly accessed: boolean;
}

const access = (
  name: string,
  cpl: 0 | 3,
  kind: AccessKind,
  more: Partial<VectorAccess> = {},
): VectorAccess => ({
  name,
  action: 'access',
  kind,
  readModifyWrite: false,
  cpl,
  accessed: true,
  ...more,
});
const RMW = { readModifyWrite: true };

export const KINDS: readonly VectorAccess[] = [
  access('supervisor read', 0, 'read'),
  access('supervisor write', 0, 'write'),
  access('supervisor fetch', 0, 'fetch'),
  access('user read', 3, 'read'),
  access('user write', 3, 'write'),
  access('user fetch', 3, 'fetch'),
  access('supervisor read-modify-write', 0, 'write', RMW),
  access('user read-modify-write', 3, 'write', RMW),
  access('segment load at CPL 3', 3, 'read', { action: 'segment' }),
  access('segment load at CPL 3, not accessed', 3, 'read', { action: 'segment', accessed: false }),
  access('segment load at CPL 0', 0, 'read', { action: 'segment' }),
  access('segment load at CPL 0, not accessed', 0, 'read', { action: 'segment', accessed: false }),
];
export const CROSS_KINDS: readonly VectorAccess[] = [0, 1, 6, 3, 4, 7].map(
  (i) => KINDS[i] as VectorAccess,
);
export const IMPLICIT: readonly VectorAccess[] = [
  access('IDT gate at CPL 0', 0, 'read', { action: 'gate' }),
  access('IDT gate at CPL 3', 3, 'read', { action: 'gate' }),
  KINDS[10] as VectorAccess,
  KINDS[8] as VectorAccess,
  access('stack push from CPL 3', 3, 'write', { action: 'push' }),
];

/** Who makes an access of a case, in the terms of the pure rule. */
export function modeOf({ action, cpl }: VectorAccess): AccessMode {
  return action !== 'access' ? 'implicit' : cpl === 3 ? 'user' : 'supervisor';
}
