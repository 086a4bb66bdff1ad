// SPDX-License-Identifier: MIT
// Access rights: the pure rule. Intel SDM Vol. 3A §4.6 and §4.7.

import {
  CR0_WP,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_NXE,
  PF_I,
  PF_P,
  PF_PK,
  PF_RSVD,
  PF_U,
  PF_W,
} from './registers.ts';

/** What an access does. A read-modify-write counts as a write. */
export type AccessKind = 'read' | 'write' | 'fetch';

/** The registers that access rights depend on. */
export interface RightsRegisters {
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
  /** RFLAGS.AC */
  readonly ac: boolean;
  readonly pkru: number;
  readonly pkrs: number;
}

/** What a page walk found, as far as rights depend on it: the AND of U/S and R/W and the OR of NX over all levels. */
export interface WalkRights {
  /** Every entry has P=1. Also true where a reserved bit ended the walk: then `reserved` is. */
  readonly present: boolean;
  readonly reserved: boolean;
  readonly writable: boolean;
  readonly user: boolean;
  readonly noExecute: boolean;
  /** Bits 62:59 of the leaf. */
  readonly key: number;
}

/** Who accesses: user mode, supervisor mode, or the processor itself (descriptor tables, event delivery). */
export type AccessMode = 'user' | 'supervisor' | 'implicit';

/**
 * Decides one access: `null` if it is allowed, else the error code of the #PF it raises.
 *
 * This is the rule that the machine's fast path must agree with; an emulator can be tested against it too.
 *
 * @example
 * const page = { present: true, reserved: false, writable: true, user: false, noExecute: true, key: 1 };
 * const registers = { cr0: CR0_WP, cr4: CR4_PKS, efer: EFER_LMA, ac: false, pkru: 0, pkrs: 0x4 };
 * decideAccess('write', 'supervisor', page, registers); // => 0x23
 * decideAccess('write', 'supervisor', page, { ...registers, pkrs: 0 }); // => null
 */
export function decideAccess(
  kind: AccessKind,
  mode: AccessMode,
  walk: WalkRights,
  registers: RightsRegisters,
): number | null {
  const { cr4, efer } = registers;
  let code = 0;
  if (kind === 'write') code |= PF_W;
  if (mode === 'user') code |= PF_U;
  if (kind === 'fetch' && ((efer & EFER_NXE) !== 0 || (cr4 & CR4_SMEP) !== 0)) code |= PF_I;
  if (!walk.present) return code;
  if (walk.reserved) return code | PF_P | PF_RSVD;
  const keyDenies = keyViolation(kind, mode, walk, registers);
  if (!keyDenies && pagingAllows(kind, mode, walk, registers)) return null;
  return code | PF_P | (keyDenies ? PF_PK : 0);
}

/** Whether R/W, U/S, NX, SMEP and SMAP allow an access, keys aside. SDM Vol. 3A §4.6.1. */
export function pagingAllows(
  kind: AccessKind,
  mode: AccessMode,
  walk: WalkRights,
  registers: RightsRegisters,
): boolean {
  const { cr0, cr4, efer } = registers;
  const noExecute = walk.noExecute && (efer & EFER_NXE) !== 0;
  if (mode === 'user') {
    if (!walk.user) return false;
    if (kind === 'fetch') return !noExecute;
    return kind === 'read' || walk.writable;
  }
  if (kind === 'fetch') return !noExecute && !(walk.user && (cr4 & CR4_SMEP) !== 0);
  const accessControl = registers.ac && mode !== 'implicit';
  if (walk.user && (cr4 & CR4_SMAP) !== 0 && !accessControl) return false;
  return kind === 'read' || walk.writable || (cr0 & CR0_WP) === 0;
}

/** Whether the page's key denies the access, whatever else does. SDM Vol. 3A §4.6.2. */
export function keyViolation(
  kind: AccessKind,
  mode: AccessMode,
  walk: WalkRights,
  registers: RightsRegisters,
): boolean {
  if (kind === 'fetch' || (registers.efer & EFER_LMA) === 0) return false;
  const enabled = (registers.cr4 & (walk.user ? CR4_PKE : CR4_PKS)) !== 0;
  if (!enabled) return false;
  const rights = ((walk.user ? registers.pkru : registers.pkrs) >>> (walk.key * 2)) & 0b11;
  if ((rights & 0b01) !== 0) return true;
  if ((rights & 0b10) === 0 || kind !== 'write') return false;
  // With CR0.WP=0 a write-disable bit stops only user accesses to user pages: PKRS's always needs WP.
  return (mode === 'user' && walk.user) || (registers.cr0 & CR0_WP) !== 0;
}
