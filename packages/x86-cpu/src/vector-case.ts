// SPDX-License-Identifier: MIT
// What a case of the conformance vectors puts into registers and page tables, and which access it makes.

import type { AccessKind, AccessMode, RightsRegisters } from './access.ts';
import { entryHigh, PTE_A, PTE_D, PTE_G, PTE_P, PTE_PS, PTE_RW, PTE_US } from './paging.ts';
import {
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
} from './registers.ts';
import { VectorError, type VectorSuite } from './vectors.ts';

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

/** One paging entry of a case. */
export interface VectorEntry {
  level: number;
  low: number;
  high: number;
}

/** A case, as data. */
export interface VectorCase {
  readonly suite: string;
  readonly index: number;
  readonly levels: 4 | 5;
  readonly maxphyaddr: number;
  readonly registers: RightsRegisters;
  /** From the top level down to the leaf. */
  readonly entries: readonly VectorEntry[];
  /** `cross` only: the leaf of the page behind; the 8-byte access starts 4 bytes before it. */
  readonly secondLeaf: VectorEntry | null;
  readonly access: VectorAccess;
}

type Mutable<T> = { -readonly [name in keyof T]: T[name] };

/** A case in the making: one object is used over and over. */
export type CaseState = Omit<Mutable<VectorCase>, 'registers' | 'entries'> & {
  readonly registers: Mutable<RightsRegisters>;
  entries: VectorEntry[];
};

// Physical addresses. With PS=1 a table's address makes a misaligned page, as the format asks for.
const TABLES = 0x1_2000;
/** Physical address of the table of a level. */
export function tableOf(level: number): number {
  return TABLES + level * 0x1000;
}
/** Where the page under test lies; a 1 GiB page starts at 0 and has it at this offset. */
export const DATA_FRAME = 0x60_0000;
/** Where the second page of `cross` lies. */
export const SECOND_FRAME = 0x80_0000;

const KEY = 5;
const AD = 1;
const WD = 2;
const BIT_51 = 1 << 19; // of the high half
const IGNORED_LOW = 0xe00 | PTE_G; // bits 11:9 and G
const IGNORED_HIGH = 0x7f << 20; // bits 58:52
const KEY_HIGH = 0xf << 27; // bits 62:59
const NX_HIGH = 0x8000_0000;

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

const KINDS: readonly VectorAccess[] = [
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
const CROSS_KINDS: readonly VectorAccess[] = [0, 1, 6, 3, 4, 7].map(
  (i) => KINDS[i] as VectorAccess,
);
const IMPLICIT: readonly VectorAccess[] = [
  access('IDT gate at CPL 0', 0, 'read', { action: 'gate' }),
  access('IDT gate at CPL 3', 3, 'read', { action: 'gate' }),
  KINDS[10] as VectorAccess,
  KINDS[8] as VectorAccess,
  access('stack push from CPL 3', 3, 'write', { action: 'push' }),
];

/** Sets what one dimension of a suite sets. */
type Setter = (state: CaseState, value: number) => void;

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

const COMMON: Readonly<Record<string, Setter>> = {
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
function setRights(entry: VectorEntry, flags: number): void {
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
function entryNamed(state: CaseState, name: string): VectorEntry {
  if (name.endsWith('leaf')) return leafOf(state);
  const level = Number(name.slice(1));
  const entry = state.entries.find((candidate) => candidate.level === level);
  if (entry === undefined) throw new RangeError(`dimension ${name}: there is no such level`);
  return entry;
}

/** The states of the `states` suites. */
function setState(state: CaseState, entry: VectorEntry, value: number): void {
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

/** Which level a suite's leaf is at, by the suffix of its name. */
function leafLevelOf(suite: string): number {
  return suite.endsWith('2m') ? 2 : suite.endsWith('1g') ? 3 : 1;
}

/** Puts a case back to what every suite starts from, with a leaf of a level. */
function resetCase(state: CaseState, leafLevel: number): void {
  const { registers } = state;
  registers.cr0 = (CR0_PG | CR0_PE | CR0_WP) >>> 0;
  registers.cr4 = CR4_PAE | CR4_PKE | CR4_PKS | (state.levels === 5 ? CR4_LA57 : 0);
  registers.efer = EFER_LME | EFER_LMA | EFER_NXE;
  registers.ac = false;
  registers.pkru = 0;
  registers.pkrs = 0;
  state.secondLeaf = null;
  if (state.entries.length !== state.levels - leafLevel + 1) {
    state.entries = [];
    for (let level: number = state.levels; level >= leafLevel; level--) {
      state.entries.push({ level, low: 0, high: 0 });
    }
  }
  for (const entry of state.entries) resetEntry(entry, leafLevel);
}

function resetEntry(entry: VectorEntry, leafLevel: number): void {
  const { level } = entry;
  if (level > leafLevel) {
    entry.low = tableOf(level - 1) | PTE_P | PTE_RW | PTE_US | PTE_A;
    entry.high = 0;
    return;
  }
  const frame = level === 3 ? 0 : DATA_FRAME;
  entry.low = frame | PTE_P | PTE_RW | PTE_US | (level > 1 ? PTE_PS : 0);
  entry.high = entryHigh(0, KEY, false) | 0;
}

const noBase = (): void => {};

/** What a family of suites adds to the common dimensions, and where it starts from. */
interface Family {
  readonly pattern: RegExp;
  readonly setters: Readonly<Record<string, Setter>>;
  /** After the common base. */
  readonly base: (state: CaseState) => void;
}

const FAMILIES: readonly Family[] = [
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
function setKeys(state: CaseState, values: ReadonlyMap<string, number>): void {
  const key = values.get('key') ?? 0;
  const size = values.get('size') ?? 0;
  resetCase(state, size + 1);
  // The program's own pages have key 0.
  const others = values.get('others') === 1 ? 0xffff_fffc & ~(0b11 << (key * 2)) : 0;
  state.registers.pkru = (others | ((values.get('pkru') ?? 0) << (key * 2))) >>> 0;
  state.registers.pkrs = (others | ((values.get('pkrs') ?? 0) << (key * 2))) >>> 0;
  leafOf(state).high = entryHigh(0, key, false) | 0;
}

const KEYS_OWN: ReadonlySet<string> = new Set(['key', 'pkru', 'pkrs', 'others', 'size']);

/**
 * Makes the cases of a suite, each into the same `state`.
 */
export class CaseReader {
  readonly state: CaseState;
  readonly #suite: VectorSuite;
  readonly #setters: readonly Setter[];
  readonly #family: Family;
  readonly #values: Int32Array;
  readonly #leafLevel: number;
  /** Cases in a row that differ only in the access. */
  readonly #kinds: number;
  #group = -1;

  constructor(suite: VectorSuite) {
    this.#suite = suite;
    const family = FAMILIES.find(({ pattern }) => pattern.test(suite.suite));
    if (family === undefined) throw unknown(suite, `suite ${suite.suite} is not known`);
    this.#family = family;
    this.#leafLevel = leafLevelOf(suite.suite);
    this.#values = new Int32Array(suite.dims.length);
    const last = suite.dims[suite.dims.length - 1];
    this.#kinds = last?.name === 'kind' ? last.count : 1;
    this.state = {
      suite: suite.suite,
      index: -1,
      levels: suite.paging === '5-level' ? 5 : 4,
      maxphyaddr: suite.maxphyaddr,
      registers: { cr0: 0, cr4: 0, efer: 0, ac: false, pkru: 0, pkrs: 0 },
      entries: [],
      secondLeaf: null,
      access: KINDS[0] as VectorAccess,
    };
    resetCase(this.state, this.#leafLevel);
    this.#setters = suite.dims.map(({ name }) => this.#setterOf(name));
  }

  #setterOf(name: string): Setter {
    const own = this.#family.setters[name];
    if (own !== undefined) return own;
    if (this.#suite.suite === 'keys' && KEYS_OWN.has(name)) return noBase;
    const common = COMMON[name];
    if (common !== undefined) return common;
    const level = /^[fs](\d|leaf)$/.test(name);
    if (level && name.startsWith('f') && this.#suite.suite.startsWith('levels')) {
      return (state, value) => setRights(entryNamed(state, name), value);
    }
    if (level && name.startsWith('s') && this.#suite.suite.startsWith('states')) {
      return (state, value) => setState(state, entryNamed(state, name), value);
    }
    throw unknown(this.#suite, `dimension ${name} of suite ${this.#suite.suite} is not known`);
  }

  /** Fills `state` with a case; true if anything but the kind of access changed since the last one. */
  read(index: number): boolean {
    const { dims } = this.#suite;
    const group = Math.floor(index / this.#kinds);
    const changed = group !== this.#group;
    this.#group = group;
    this.state.index = index;
    if (changed) {
      let rest = index;
      for (let i = dims.length - 1; i >= 0; i--) {
        const count = dims[i]?.count as number;
        this.#values[i] = rest % count;
        rest = Math.floor(rest / count);
      }
      this.#rebuild();
    } else {
      this.#setters[dims.length - 1]?.(this.state, index % this.#kinds);
    }
    return changed;
  }

  #rebuild(): void {
    const { state } = this;
    if (this.#suite.suite === 'keys') {
      const named = this.#suite.dims.map(
        ({ name }, i) => [name, this.#values[i] as number] as const,
      );
      setKeys(state, new Map(named));
    } else {
      resetCase(state, this.#leafLevel);
    }
    this.#family.base(state);
    for (const [i, set] of this.#setters.entries()) set(state, this.#values[i] as number);
  }
}

function unknown(suite: VectorSuite, what: string): VectorError {
  return new VectorError(suite.file, 0, `${what}: a foreign set, or a newer format`);
}

/**
 * One case of a suite, as data of its own.
 *
 * @example
 * vectorCase(suite, 0).access.name; // => 'supervisor read'
 */
export function vectorCase(suite: VectorSuite, index: number): VectorCase {
  if (!Number.isInteger(index) || index < 0 || index >= suite.cases) {
    throw new RangeError(`case ${index}: suite ${suite.suite} has ${suite.cases}`);
  }
  const reader = new CaseReader(suite);
  reader.read(index);
  return reader.state;
}

/** Who makes an access of a case, in the terms of the pure rule. */
export function modeOf({ action, cpl }: VectorAccess): AccessMode {
  return action !== 'access' ? 'implicit' : cpl === 3 ? 'user' : 'supervisor';
}
