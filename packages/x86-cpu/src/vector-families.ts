// SPDX-License-Identifier: MIT
// The families of suites: what the dimensions of each set in a case.

import { entryHigh, PTE_A, PTE_D, PTE_G, PTE_P, PTE_PS, PTE_RW, PTE_US } from './paging.ts';
import { CR0_WP, CR4_PKE, CR4_PKS, CR4_SMAP, CR4_SMEP, EFER_NXE } from './registers.ts';
import { CROSS_KINDS, IMPLICIT, KINDS, type VectorAccess } from './vector-access.ts';
import { type CaseState, KEY, resetCase, SECOND_FRAME, type VectorEntry } from './vector-state.ts';

const AD = 1;
const WD = 2;
const BIT_51 = 1 << 19; // of the high half
const IGNORED_LOW = 0xe00 | PTE_G; // bits 11:9 and G
const IGNORED_HIGH = 0x7f << 20; // bits 58:52
const KEY_HIGH = 0xf << 27; // bits 62:59
const NX_HIGH = 0x8000_0000;

/** Sets what one dimension of a suite sets. */
export type Setter = (state: CaseState, value: number) => void;

const bit = (register: 'cr0' | 'cr4' | 'efer', mask: number): Setter => {
  return ({ registers }, value) => {
    registers[register] =
      (value === 1 ? registers[register] | mask : registers[register] & ~mask) >>> 0;
  };
};
const keyBits = (register: 'pkru' | 'pkrs'): Setter => {
  return ({ registers }, value) => {
    registers[register] = value << (KEY * 2);
  };
};
const leafOf = ({ entries }: CaseState): VectorEntry => entries[entries.length - 1] as VectorEntry;

export const COMMON: Readonly<Record<string, Setter>> = {
  wp: bit('cr0', CR0_WP),
  nxe: bit('efer', EFER_NXE),
  smep: bit('cr4', CR4_SMEP),
  smap: bit('cr4', CR4_SMAP),
  pke: bit('cr4', CR4_PKE),
  pks: bit('cr4', CR4_PKS),
  ac: ({ registers }, value) => {
    registers.ac = value === 1;
  },
  pkru: keyBits('pkru'),
  pkrs: keyBits('pkrs'),
  us: (state, value) => setFlag(leafOf(state), PTE_US, value),
  rw: (state, value) => setFlag(leafOf(state), PTE_RW, value),
  kind: (state, value) => {
    state.access = KINDS[value] as VectorAccess;
  },
};

function setFlag(entry: VectorEntry, mask: number, value: number): void {
  entry.low = value === 0 ? entry.low & ~mask : entry.low | mask;
}

/** RW, US, NX of an entry, by the bits of a number. */
export function setRights(entry: VectorEntry, flags: number): void {
  setFlag(entry, PTE_RW, flags & 1);
  setFlag(entry, PTE_US, flags & 2);
  entry.high = (flags & 4) !== 0 ? entry.high | NX_HIGH : entry.high & ~NX_HIGH;
}

function setAccessedDirty(entry: VectorEntry, value: number): void {
  setFlag(entry, PTE_A, value & 1);
  setFlag(entry, PTE_D, value & 2);
}

/** 0 open, 1 PKRU.AD, 2 PKRS.AD, 3 WD in both. */
function setPk({ registers }: CaseState, value: number): void {
  registers.pkru = (value === 1 ? AD : value === 3 ? WD : 0) << (KEY * 2);
  registers.pkrs = (value === 2 ? AD : value === 3 ? WD : 0) << (KEY * 2);
}

/** Which entry a dimension such as `f3`, `s4` or `fleaf` is about. */
export function entryNamed(state: CaseState, name: string): VectorEntry {
  if (name.endsWith('leaf')) return leafOf(state);
  const level = Number(name.slice(1));
  const entry = state.entries.find((candidate) => candidate.level === level);
  if (entry === undefined) throw new RangeError(`dimension ${name}: there is no such level`);
  return entry;
}

/** The states of the `states` suites. */
export function setState(state: CaseState, entry: VectorEntry, value: number): void {
  const leaf = entry === leafOf(state);
  const large = leaf && entry.level > 1;
  switch (value) {
    case 1:
      entry.low &= ~PTE_P;
      break;
    case 2:
      entry.low = -2; // everything but P
      entry.high = -1;
      break;
    case 3:
      entry.high |= BIT_51;
      break;
    case 4:
      entry.high |= 1 << (state.maxphyaddr - 32);
      break;
    case 5:
      entry.high |= NX_HIGH;
      break;
    case 6:
      entry.low |= leaf ? IGNORED_LOW : IGNORED_LOW | PTE_D;
      entry.high |= leaf ? IGNORED_HIGH : IGNORED_HIGH | KEY_HIGH;
      break;
    case 7:
      entry.low |= large ? 1 << 12 : PTE_PS;
      break;
    case 8:
      entry.low &= ~PTE_RW;
      break;
    case 9:
      entry.low &= ~PTE_US;
      break;
    case 10:
      entry.low |= 1 << 13;
      break;
    case 11:
      entry.low |= 1 << (entry.level === 2 ? 20 : 29);
      break;
  }
}

/** The page states of `cross`. */
function setPageState(entry: VectorEntry, value: number): void {
  const key = value === 4 || value === 6 ? 6 : value === 5 || value === 7 ? 7 : KEY;
  entry.high = entryHigh(0, key, false) | 0;
  setFlag(entry, PTE_P, value === 1 ? 0 : 1);
  setFlag(entry, PTE_RW, value === 2 ? 0 : 1);
  setFlag(entry, PTE_US, value === 3 || value === 6 || value === 7 ? 0 : 1);
  if (value === 8) entry.high |= BIT_51;
}

/** Sets nothing. */
export const noBase = (): void => {};

/** What a family of suites adds to the common dimensions, and where it starts from. */
export interface Family {
  readonly pattern: RegExp;
  readonly setters: Readonly<Record<string, Setter>>;
  /** After the common base. */
  readonly base: (state: CaseState) => void;
}

export const FAMILIES: readonly Family[] = [
  {
    pattern: /^leaf(4k|2m|1g)$/,
    base: noBase,
    setters: {
      flags: (state, value) => {
        const leaf = leafOf(state);
        setFlag(leaf, PTE_P, value & 1);
        setRights(leaf, value >>> 1);
      },
      ad: (state, value) => setAccessedDirty(leafOf(state), value),
    },
  },
  {
    pattern: /^levels(4k|2m|1g)$/,
    base: noBase,
    setters: { pk: setPk },
  },
  {
    pattern: /^states(4k|2m|1g)$/,
    base: ({ entries }) => {
      for (const entry of entries) entry.low &= ~(PTE_A | PTE_D);
    },
    setters: {
      pk: ({ registers }, value) => {
        registers.pkru = (value * AD) << (KEY * 2);
        registers.pkrs = registers.pkru;
      },
    },
  },
  {
    pattern: /^ad(4k|2m|1g)$/,
    base: noBase,
    setters: {
      pk: setPk,
      Aupper: ({ entries }, value) => {
        for (const entry of entries.slice(0, -1)) {
          setFlag(entry, PTE_A, (value >>> (entry.level - 2)) & 1);
        }
      },
      leafAD: (state, value) => setAccessedDirty(leafOf(state), value),
    },
  },
  { pattern: /^keys$/, base: noBase, setters: {} },
  {
    pattern: /^cross$/,
    base: (state) => {
      state.registers.pkru = (AD << 12) | (WD << 14);
      state.registers.pkrs = state.registers.pkru;
      state.secondLeaf = { level: 1, low: SECOND_FRAME | PTE_P | PTE_RW | PTE_US, high: 0 };
      setPageState(state.secondLeaf, 0);
    },
    setters: {
      s1: (state, value) => setPageState(leafOf(state), value),
      s2: (state, value) => setPageState(state.secondLeaf as VectorEntry, value),
      kind: (state, value) => {
        state.access = CROSS_KINDS[value] as VectorAccess;
      },
    },
  },
  {
    pattern: /^implicit$/,
    base: noBase,
    setters: {
      what: (state, value) => {
        state.access = IMPLICIT[value] as VectorAccess;
      },
      flags: (state, value) => setRights(leafOf(state), value),
    },
  },
];

/** Sets `keys`' dimensions, which depend on each other. */
export function setKeys(state: CaseState, values: ReadonlyMap<string, number>): void {
  const key = values.get('key') ?? 0;
  const size = values.get('size') ?? 0;
  resetCase(state, size + 1);
  // The program's own pages have key 0.
  const others = values.get('others') === 1 ? 0xffff_fffc & ~(0b11 << (key * 2)) : 0;
  state.registers.pkru = (others | ((values.get('pkru') ?? 0) << (key * 2))) >>> 0;
  state.registers.pkrs = (others | ((values.get('pkrs') ?? 0) << (key * 2))) >>> 0;
  leafOf(state).high = entryHigh(0, key, false) | 0;
}

export const KEYS_OWN: ReadonlySet<string> = new Set(['key', 'pkru', 'pkrs', 'others', 'size']);
