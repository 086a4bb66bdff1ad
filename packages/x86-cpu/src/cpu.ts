// SPDX-License-Identifier: MIT
// One logical processor: its registers as cells, its TLB, and what the fast paths precompute from them.

import type { RightsRegisters } from './access.ts';
import type { Column } from './cell.ts';
import type { CpuFeatures } from './model.ts';
import { type PagingFormat, reservedHighBits, WIDEST_FORMAT } from './paging.ts';
import {
  CR0_ET,
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_MCE,
  CR4_PAE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  EFER_SCE,
  IA32_PKRS,
} from './registers.ts';
import { Tlb, type TlbEntry } from './tlb.ts';

/** The registers of all CPUs, one column each, indexed by CPU. */
export interface RegisterColumns {
  readonly cr0: Column;
  /** The faulting address; beyond ±2^53 without its low 12 bits, which are in `cr2Offset`. */
  readonly cr2: Column;
  readonly cr2Offset: Column;
  readonly cr3: Column;
  readonly cr4: Column;
  readonly efer: Column;
  /** RFLAGS.IF */
  readonly interruptFlag: Column;
  /** RFLAGS.AC */
  readonly ac: Column;
  readonly cpl: Column;
  readonly pkrs: Column;
  readonly pkru: Column;
  /** NMIs are blocked from the delivery of one until IRET. */
  readonly nmiBlocked: Column;
  /** Base of the interrupt descriptor table; {@link NO_TABLE}: delivery reads none. */
  readonly idtr: Column;
  /** Base of the global descriptor table, or {@link NO_TABLE}. */
  readonly gdtr: Column;
  /** Base of the task-state segment, or {@link NO_TABLE}. */
  readonly tr: Column;
  /** The stack pointer, or {@link NO_TABLE}: delivery pushes nothing. */
  readonly rsp: Column;
  /** Events that wait: 8 words a CPU, a bit a vector; vectors 2 and 18 are NMI and machine check. */
  readonly pending: Column;
}

/** In place of the address of a descriptor table or stack that the machine does without. */
export const NO_TABLE = -1;

/** State in which start-up code hands a CPU to the kernel: long mode, paging on, keys off, interrupts off. */
export const LONG_MODE: { readonly cr0: number; readonly cr4: number; readonly efer: number } = {
  cr0: (CR0_PE | CR0_ET | CR0_WP | CR0_PG) >>> 0,
  cr4: CR4_PAE | CR4_MCE | CR4_PGE,
  efer: EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
};

/** CR0 after RESET; INIT keeps CD and NW. SDM Vol. 3A table 10-1. */
export const RESET_CR0 = 0x6000_0010;

// Classes of pages, and AD and WD bits of keys, take turns in a word.
const EVEN = 0x5555_5555; // supervisor pages; AD
const ODD = 0xaaaa_aaaa; // user pages; WD

type Mutable<T> = { -readonly [name in keyof T]: T[name] };

export class Cpu {
  readonly index: number;
  readonly tlb: Tlb = new Tlb();
  /** The arrays of `tlb` that a hit looks at, one step nearer. */
  readonly tags: Float64Array = this.tlb.tags;
  readonly infos: Int32Array = this.tlb.infos;
  readonly words: Int32Array[] = this.tlb.words;
  /** Translations of the process contexts that are not current, while CR4.PCIDE=1. */
  readonly parked: Map<number, TlbEntry[]> = new Map();
  /** A bit for each class of page (twice its key, plus 1 for a user page): whether a read is refused now. */
  readDeny = 0;
  /** The same for a write to a page with R/W=1. */
  writeDeny = 0;
  /** Supervisor writes pass R/W=0: CR0.WP=0. */
  ignoresReadOnly = false;
  user = false;
  cpl = 0;
  /** IA32_PKRS where it exists and the CPL lets it be written, else -1: WRMSR of it needs no more checks. */
  directMsr = -1;
  paging = true;
  /** Whether G in an entry counts. */
  globalPages = true;
  format: PagingFormat = WIDEST_FORMAT;
  /** The registers of the pure rule. */
  readonly rights: RightsRegisters = { cr0: 0, cr4: 0, efer: 0, ac: false, pkru: 0, pkrs: 0 };
  /** What `readDeny` and `writeDeny` are apart from PKRS. */
  private readClosed = 0;
  private writeClosed = 0;
  /** The bits of PKRS that count, and which of its WD bits do, moved down to AD's places. */
  private adMask = 0;
  private wdMask = 0;
  readonly #registers: RegisterColumns;
  readonly #features: CpuFeatures;

  constructor(index: number, registers: RegisterColumns, features: CpuFeatures) {
    this.index = index;
    this.#registers = registers;
    this.#features = features;
  }

  /** Recomputes what the fast paths use; called whenever a register that it depends on changes. */
  derive(): void {
    const r = this.#registers;
    const i = this.index;
    const rights = this.rights as Mutable<RightsRegisters>;
    rights.cr0 = r.cr0.values[i] as number;
    rights.cr4 = r.cr4.values[i] as number;
    rights.efer = r.efer.values[i] as number;
    rights.ac = r.ac.values[i] === 1;
    this.cpl = r.cpl.values[i] as number;
    this.user = this.cpl === 3;
    this.directMsr = this.#features.pks && !this.user ? IA32_PKRS : -1;
    this.paging = (rights.cr0 & CR0_PG) !== 0;
    this.globalPages = (rights.cr4 & CR4_PGE) !== 0;
    this.ignoresReadOnly = !this.user && (rights.cr0 & CR0_WP) === 0;
    this.#deriveFormat(rights.cr4, rights.efer);
    this.deriveKeys();
  }

  /** What depends on PKRS and PKRU only. */
  deriveKeys(): void {
    const rights = this.rights as Mutable<RightsRegisters>;
    const { cr0, cr4, ac } = rights;
    rights.pkru = this.#registers.pkru.values[this.index] as number;
    const longMode = (rights.efer & EFER_LMA) !== 0;
    const pkru = longMode && (cr4 & CR4_PKE) !== 0 ? rights.pkru : 0;
    const pksCounts = longMode && (cr4 & CR4_PKS) !== 0;
    const obeysWd = this.user || (cr0 & CR0_WP) !== 0;
    this.adMask = pksCounts ? EVEN : 0;
    this.wdMask = pksCounts && obeysWd ? EVEN : 0;
    const supervisorPages = this.user ? EVEN : 0;
    const userPages = !this.user && (cr4 & CR4_SMAP) !== 0 && !ac ? ODD : 0;
    this.readClosed = supervisorPages | userPages | ((pkru & EVEN) << 1);
    this.writeClosed = this.readClosed | (obeysWd ? pkru & ODD : 0);
    this.derivePkrs(this.#registers.pkrs.values[this.index] as number);
  }

  /** What depends on PKRS only: WRMSR of it does no more than this. */
  derivePkrs(pkrs: number): void {
    (this.rights as Mutable<RightsRegisters>).pkrs = pkrs;
    const ad = pkrs & this.adMask;
    this.readDeny = this.readClosed | ad;
    this.writeDeny = this.writeClosed | ad | ((pkrs >>> 1) & this.wdMask);
  }

  #deriveFormat(cr4: number, efer: number): void {
    const { physicalAddressBits, gigabytePages } = this.#features;
    const levels = (cr4 & CR4_LA57) !== 0 ? 5 : 4;
    const reservedHigh = reservedHighBits(physicalAddressBits, (efer & EFER_NXE) !== 0);
    const { format } = this;
    if (
      format.levels === levels &&
      format.reservedHigh === reservedHigh &&
      format.gigabytePages === gigabytePages
    ) {
      return;
    }
    this.format = { levels, reservedHigh, gigabytePages };
  }
}
