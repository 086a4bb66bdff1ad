// SPDX-License-Identifier: MIT
// The rule with a switch for each way to get it wrong, and the list of switches. With none set it is the rule.

import {
  type AccessRules,
  CR0_WP,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_NXE,
  entryKey,
  PF_I,
  PF_P,
  PF_PK,
  PF_RSVD,
  PF_U,
  PF_W,
  type RightsRegisters,
  type VectorEntry,
  type WalkRights,
  walkEntries,
} from '../src/index.ts';

/** What each mutant does wrong. */
export const ruleMutants = {
  wpIgnoredForWd: 'WD stops supervisor writes with CR0.WP=0 too',
  wpRescuesAd: 'CR0.WP=0 lets a supervisor write pass AD',
  wdWithoutUser: 'WD with CR0.WP=0 lets user writes pass',
  wdOnReads: 'WD stops reads',
  adOnlyWrites: 'AD stops writes only',
  adOnlyReads: 'AD stops reads only',
  wdDropped: 'WD is ignored',
  fetchChecked: 'fetches are checked against the key',
  pkrsForUserPage: 'a user page is checked against PKRS',
  pkruForSupervisorPage: 'a supervisor page is checked against PKRU',
  registerByMode: 'the register is chosen by CPL',
  registerByTables: 'the register is chosen by U/S of the non-leaf entries',
  pksAlwaysOn: 'PKRS counts with CR4.PKS=0',
  pkeAlwaysOn: 'PKRU counts with CR4.PKE=0',
  pksByPke: 'PKRS counts by CR4.PKE',
  neighbourKey: 'the key is taken from bits 61:59',
  pkMissing: 'the PK bit is not set',
  pkOnNotPresent: 'the PK bit is set where there is no translation',
  pkOnlyAlone: 'the PK bit is set only if nothing else refuses',
  pMissingOnReserved: 'a reserved-bit fault has P=0',
  rsvdMissing: 'a reserved-bit fault has RSVD=0',
  reservedIgnored: 'reserved bits are ignored',
  nxeIgnored: 'NX is no reserved bit with EFER.NXE=0',
  maxphyaddrIgnored: 'address bits above MAXPHYADDR are no reserved bits',
  psIgnored: 'PS is no reserved bit at levels 4 and 5',
  iWithoutNxe: 'I/D is set without NXE and SMEP',
  iMissingWithSmep: 'I/D is not set by SMEP alone',
  uMissing: 'the U/S bit of the error code is not set',
  wMissing: 'the W/R bit is not set',
  nxIgnored: 'NX does not stop fetches',
  nxOnReads: 'NX stops reads',
  userReachesSupervisor: 'user accesses reach supervisor pages',
  leafUserOnly: 'only U/S of the leaf counts',
  leafWriteOnly: 'only R/W of the leaf counts',
  leafNxOnly: 'only NX of the leaf counts',
  readOnlyIgnored: 'supervisor writes ignore R/W with CR0.WP=1',
  wpForUser: 'user writes pass R/W=0 with CR0.WP=0',
  wpAlways: 'R/W=0 stops supervisor writes with CR0.WP=0',
  smepIgnored: 'SMEP does not stop fetches',
  smepOnUser: 'SMEP stops user fetches',
  smapIgnored: 'SMAP does not stop supervisor accesses',
  smapIgnoresAc: 'RFLAGS.AC does not open SMAP',
  acForImplicit: 'RFLAGS.AC opens SMAP for implicit accesses',
  implicitIsUser: 'implicit accesses at CPL 3 are user accesses',
  implicitSkipsKeys: 'implicit accesses are not checked against keys',
} as const;

/** A name in {@link ruleMutants}. */
export type RuleMutant = keyof typeof ruleMutants;

/** Rules with one mutant switched on, or none. */
export function mutantRules(mutant: RuleMutant | null): AccessRules {
  const is = (name: RuleMutant): boolean => mutant === name;
  return {
    walk: (entries, format) => mutantWalk(is, entries, format),
    decide: (kind, mode, walk, registers) => {
      const asUser = is('implicitIsUser') && mode === 'implicit';
      return decide(is, kind, asUser ? 'user' : mode, walk as MutantWalk, registers);
    },
  };
}

type Is = (name: RuleMutant) => boolean;
type Kind = Parameters<AccessRules['decide']>[0];
type Mode = Parameters<AccessRules['decide']>[1];
type MutantWalk = WalkRights & { readonly tablesUser?: boolean };

function mutantWalk(
  is: Is,
  entries: readonly VectorEntry[],
  format: Parameters<AccessRules['walk']>[1],
): MutantWalk {
  let { reservedHigh } = format;
  if (is('nxeIgnored')) reservedHigh &= 0x7fff_ffff;
  if (is('maxphyaddrIgnored')) reservedHigh &= ~0xfffff;
  const seen = is('reservedIgnored') ? entries.map(withoutReserved(reservedHigh)) : entries;
  const checked = is('psIgnored')
    ? seen.map((entry) => (entry.level > 3 ? { ...entry, low: entry.low & ~0x80 } : entry))
    : seen;
  const walk = walkEntries(checked, { ...format, reservedHigh });
  const leaf = entries[entries.length - 1] as VectorEntry;
  const untranslated = is('pkOnNotPresent') && !walk.present;
  return {
    ...walk,
    writable: is('leafWriteOnly') ? (leaf.low & 2) !== 0 : walk.writable,
    user: is('leafUserOnly') || untranslated ? (leaf.low & 4) !== 0 : walk.user,
    noExecute: is('leafNxOnly') ? leaf.high < 0 : walk.noExecute,
    key: untranslated ? entryKey(leaf.high) : is('neighbourKey') ? walk.key & 7 : walk.key,
    tablesUser: entries.slice(0, -1).every(({ low }) => (low & 4) !== 0),
  };
}

/** An entry without its reserved bits, in the address and above it. */
function withoutReserved(reservedHigh: number): (entry: VectorEntry) => VectorEntry {
  return (entry) => ({
    ...entry,
    high: entry.high & ~reservedHigh,
    low: entry.level > 1 ? entry.low & ~0x80 : entry.low,
  });
}

function decide(
  is: Is,
  kind: Kind,
  mode: Mode,
  walk: MutantWalk,
  registers: RightsRegisters,
): number | null {
  const { cr4, efer } = registers;
  const code = accessBits(is, kind, mode, cr4, efer);
  const denied = keyDenies(is, kind, mode, walk, registers);
  if (!walk.present) return is('pkOnNotPresent') && denied ? code | PF_PK : code;
  if (walk.reserved) {
    const present = is('pMissingOnReserved') ? 0 : PF_P;
    return code | present | (is('rsvdMissing') ? 0 : PF_RSVD);
  }
  const allowed = pagingAllows(is, kind, mode, walk, registers);
  if (allowed && !denied) return null;
  const pk = denied && !is('pkMissing') && (allowed || !is('pkOnlyAlone'));
  return code | PF_P | (pk ? PF_PK : 0);
}

function accessBits(is: Is, kind: Kind, mode: Mode, cr4: number, efer: number): number {
  let code = 0;
  if (kind === 'write' && !is('wMissing')) code |= PF_W;
  if (mode === 'user' && !is('uMissing')) code |= PF_U;
  const smep = (cr4 & CR4_SMEP) !== 0 && !is('iMissingWithSmep');
  if (kind === 'fetch' && ((efer & EFER_NXE) !== 0 || smep || is('iWithoutNxe'))) code |= PF_I;
  return code;
}

function pagingAllows(
  is: Is,
  kind: Kind,
  mode: Mode,
  walk: WalkRights,
  { cr0, cr4, efer, ac }: RightsRegisters,
): boolean {
  const noExecute = walk.noExecute && (efer & EFER_NXE) !== 0 && !is('nxIgnored');
  if (noExecute && kind === 'read' && is('nxOnReads')) return false;
  const wp = (cr0 & CR0_WP) !== 0;
  if (mode === 'user') {
    if (!walk.user && !is('userReachesSupervisor')) return false;
    if (kind === 'fetch') return !noExecute && !(is('smepOnUser') && (cr4 & CR4_SMEP) !== 0);
    return kind === 'read' || walk.writable || (is('wpForUser') && !wp);
  }
  if (kind === 'fetch') {
    return !noExecute && !(walk.user && (cr4 & CR4_SMEP) !== 0 && !is('smepIgnored'));
  }
  const open = ac && !is('smapIgnoresAc') && (mode !== 'implicit' || is('acForImplicit'));
  if (walk.user && (cr4 & CR4_SMAP) !== 0 && !open && !is('smapIgnored')) return false;
  if (kind === 'read' || walk.writable) return true;
  return (!wp && !is('wpAlways')) || is('readOnlyIgnored');
}

function keyDenies(
  is: Is,
  kind: Kind,
  mode: Mode,
  walk: MutantWalk,
  registers: RightsRegisters,
): boolean {
  const { cr0, cr4, efer, pkru, pkrs } = registers;
  if ((kind === 'fetch' && !is('fetchChecked')) || (efer & EFER_LMA) === 0) return false;
  if (mode === 'implicit' && is('implicitSkipsKeys')) return false;
  const user = registerIsPkru(is, mode, walk);
  const pks = (cr4 & (is('pksByPke') ? CR4_PKE : CR4_PKS)) !== 0 || is('pksAlwaysOn');
  const pke = (cr4 & CR4_PKE) !== 0 || is('pkeAlwaysOn');
  if (!(user ? pke : pks)) return false;
  const pair = ((user ? pkru : pkrs) >>> (walk.key * 2)) & 0b11;
  const wp = (cr0 & CR0_WP) !== 0;
  const write = kind === 'write';
  if ((pair & 1) !== 0 && adDenies(is, write, wp, mode)) return true;
  if ((pair & 2) === 0 || is('wdDropped') || !(write || is('wdOnReads'))) return false;
  return wp || is('wpIgnoredForWd') || (mode === 'user' && walk.user && !is('wdWithoutUser'));
}

function adDenies(is: Is, write: boolean, wp: boolean, mode: Mode): boolean {
  if (is('adOnlyWrites')) return write;
  if (is('adOnlyReads')) return !write;
  return !(is('wpRescuesAd') && write && !wp && mode !== 'user');
}

function registerIsPkru(is: Is, mode: Mode, walk: MutantWalk): boolean {
  if (is('registerByMode')) return mode === 'user';
  if (is('registerByTables')) return walk.tablesUser ?? walk.user;
  if (is('pkrsForUserPage')) return false;
  return is('pkruForSupervisorPage') ? true : walk.user;
}
