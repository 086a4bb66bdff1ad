// SPDX-License-Identifier: MIT
// What a case of the conformance vectors puts into registers and page tables, and what every suite starts from.

import type { RightsRegisters } from './access.ts';
import { entryHigh, PTE_A, PTE_P, PTE_PS, PTE_RW, PTE_US } from './paging.ts';
import {
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PKE,
  CR4_PKS,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
} from './registers.ts';
import type { VectorAccess } from './vector-access.ts';

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

/** The key of the page under test. */
export const KEY = 5;

/** Which level a suite's leaf is at, by the suffix of its name. */
export function leafLevelOf(suite: string): number {
  return suite.endsWith('2m') ? 2 : suite.endsWith('1g') ? 3 : 1;
}

/** Puts a case back to what every suite starts from, with a leaf of a level. */
export function resetCase(state: CaseState, leafLevel: number): void {
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
