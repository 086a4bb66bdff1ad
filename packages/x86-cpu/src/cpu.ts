// SPDX-License-Identifier: MIT
// One logical processor: its registers as cells, its TLB, and what the fast paths precompute from them.

import type { Column } from './cell.ts';
import {
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR4_PAE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
} from './registers.ts';
import {
  RIGHTS_SR,
  RIGHTS_SR_AC,
  RIGHTS_SW,
  RIGHTS_SW_AC,
  RIGHTS_UR,
  RIGHTS_UW,
  Tlb,
} from './tlb.ts';

/** The registers of all CPUs, one column each, indexed by CPU. */
export interface RegisterColumns {
  readonly cr0: Column;
  readonly cr2: Column;
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
}

/** State in which firmware hands a CPU to the kernel: long mode, paging on, keys off, interrupts off. */
export const LONG_MODE: { readonly cr0: number; readonly cr4: number; readonly efer: number } = {
  cr0: (CR0_PE | CR0_WP | CR0_PG) >>> 0,
  cr4: CR4_PAE | CR4_PGE,
  efer: EFER_LME | EFER_LMA | EFER_NXE,
};

export class Cpu {
  readonly index: number;
  readonly tlb: Tlb = new Tlb();
  /** PKRS, then PKRU, as they count now: 0 while their CR4 bit is off. */
  readonly keyRegister: Int32Array = new Int32Array(2);
  /** Bits of a key's pair that refuse a write: AD and WD, or AD alone where CR0.WP lets WD pass. */
  writeDeny = 0b11;
  readWant: number = RIGHTS_SR;
  writeWant: number = RIGHTS_SW;
  readonly #registers: RegisterColumns;
  #rightsControls = 0;

  constructor(index: number, registers: RegisterColumns) {
    this.index = index;
    this.#registers = registers;
  }

  /** Recomputes what the fast paths use; called whenever a register that it depends on changes. */
  derive(): void {
    const r = this.#registers;
    const i = this.index;
    const cr0 = r.cr0.values[i] as number;
    const cr4 = r.cr4.values[i] as number;
    const efer = r.efer.values[i] as number;
    this.keyRegister[0] = (cr4 & CR4_PKS) !== 0 ? (r.pkrs.values[i] as number) : 0;
    this.keyRegister[1] = (cr4 & CR4_PKE) !== 0 ? (r.pkru.values[i] as number) : 0;
    const user = r.cpl.values[i] === 3;
    const ac = r.ac.values[i] === 1;
    this.writeDeny = user || (cr0 & CR0_WP) !== 0 ? 0b11 : 0b01;
    this.readWant = user ? RIGHTS_UR : ac ? RIGHTS_SR_AC : RIGHTS_SR;
    this.writeWant = user ? RIGHTS_UW : ac ? RIGHTS_SW_AC : RIGHTS_SW;
    // Entries hold rights under these controls: a toggle counts at once, so they are taken afresh.
    const controls =
      (cr0 & CR0_WP) | (cr4 & (CR4_SMEP | CR4_SMAP)) | ((efer & EFER_NXE) !== 0 ? 1 : 0);
    if (controls !== this.#rightsControls) {
      this.#rightsControls = controls;
      this.tlb.flush(true);
    }
  }
}
