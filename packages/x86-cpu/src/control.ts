// SPDX-License-Identifier: MIT
// Control registers and MSRs: what may be written, and what a write does to the TLB. Intel SDM Vol. 3A §2.5, §4.10.4.

import type { Column } from './cell.ts';
import type { CpuFeatures } from './model.ts';
import { flushAllContexts, switchContext } from './pcid.ts';
import {
  CR0_CD,
  CR0_ET,
  CR0_NW,
  CR0_PE,
  CR0_PG,
  CR4_FSGSBASE,
  CR4_LA57,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  CR4_UMIP,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  EFER_SCE,
  IA32_EFER,
  IA32_PKRS,
} from './registers.ts';
import type { MachineState } from './state.ts';

/** CR0 bits that hold what is written: PE, MP, EM, TS, NE, WP, AM, NW, CD, PG. Others read as fixed. */
const CR0_WRITABLE = 0xe005_002f;
/** CR4 bits that every CPU has: VME, PVI, TSD, DE, PSE, PAE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT. */
const CR4_ALWAYS = 0x7ff;
const EFER_BITS = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;

/** Bit 63 of a value for CR3, as a separate operand: keep the translations of the new context. */
const CR3_KEEP = 1;

/** CR4 bits that a CPU lets software set. */
function supportedCr4(features: CpuFeatures): number {
  let bits = CR4_ALWAYS;
  if (features.umip) bits |= CR4_UMIP;
  if (features.la57) bits |= CR4_LA57;
  if (features.fsgsbase) bits |= CR4_FSGSBASE;
  if (features.pcid) bits |= CR4_PCIDE;
  if (features.xsave) bits |= CR4_OSXSAVE;
  if (features.smep) bits |= CR4_SMEP;
  if (features.smap) bits |= CR4_SMAP;
  if (features.pku) bits |= CR4_PKE;
  if (features.pks) bits |= CR4_PKS;
  return bits;
}

/** The column of CR0, CR2, CR3 or CR4. */
export function controlRegister(state: MachineState, number: number): Column {
  const { cr0, cr2, cr3, cr4 } = state.registers;
  const column = [cr0, undefined, cr2, cr3, cr4][number];
  if (column === undefined)
    throw new RangeError(`CR${number}: a machine has CR0, CR2, CR3 and CR4`);
  return column;
}

/** MOV to a control register; false if it is #GP(0), nothing changed. */
export function writeControlRegister(
  state: MachineState,
  number: number,
  given: number,
  keep: number,
): boolean {
  // 32-bit values made with bit operations are negative from bit 31 up.
  const value = given < 0 && given >= -0x8000_0000 ? given >>> 0 : given;
  if (value < 0 || !Number.isInteger(value)) return false;
  if (number === 0) return writeCr0(state, value);
  if (number === 3) return writeCr3(state, value, keep);
  if (number === 4) return writeCr4(state, value);
  controlRegister(state, number).poke(state.cpu.index, value);
  state.registers.cr2Offset.poke(state.cpu.index, 0);
  return true;
}

function writeCr0(state: MachineState, value: number): boolean {
  const { cpu, registers } = state;
  const i = cpu.index;
  const old = registers.cr0.values[i] as number;
  const cr4 = registers.cr4.values[i] as number;
  const efer = registers.efer.values[i] as number;
  const paging = (value & CR0_PG) !== 0;
  if (value > 0xffff_ffff) return false;
  if (paging && (value & CR0_PE) === 0) return false;
  if ((value & CR0_NW) !== 0 && (value & CR0_CD) === 0) return false;
  // In 64-bit mode, which is where this machine is while EFER.LMA is set, neither PG nor PE can be cleared.
  if ((efer & EFER_LMA) !== 0 && (!paging || (value & CR0_PE) === 0)) return false;
  if (paging && (old & CR0_PG) === 0) {
    if ((efer & EFER_LME) === 0) {
      throw new Error('CR0.PG with EFER.LME=0: 32-bit and PAE paging are not modelled');
    }
    if ((cr4 & CR4_PAE) === 0) return false;
    registers.efer.poke(i, efer | EFER_LMA);
    flushAllContexts(cpu);
  }
  registers.cr0.poke(i, ((value & CR0_WRITABLE) | CR0_ET) >>> 0);
  return true;
}

function writeCr3(state: MachineState, value: number, keep: number): boolean {
  const { cpu, registers, features } = state;
  const i = cpu.index;
  if (value >= 2 ** features.physicalAddressBits) return false;
  const contexts = ((registers.cr4.values[i] as number) & CR4_PCIDE) !== 0;
  // Without PCIDE, bit 63 is reserved as well.
  if (keep === CR3_KEEP && !contexts) return false;
  const old = registers.cr3.values[i] as number;
  registers.cr3.poke(i, value);
  if (contexts) switchContext(cpu, old & 0xfff, value & 0xfff, keep !== CR3_KEEP);
  else cpu.tlb.flush(false);
  return true;
}

function writeCr4(state: MachineState, value: number): boolean {
  const { cpu, registers, features } = state;
  const i = cpu.index;
  const old = registers.cr4.values[i] as number;
  const changed = old ^ value;
  const longMode = ((registers.efer.values[i] as number) & EFER_LMA) !== 0;
  if (value > 0xffff_ffff || (value & ~supportedCr4(features)) !== 0) return false;
  if (longMode && ((value & CR4_PAE) === 0 || (changed & CR4_LA57) !== 0)) return false;
  if ((changed & value & CR4_PCIDE) !== 0) {
    const context = (registers.cr3.values[i] as number) & 0xfff;
    if (!longMode || context !== 0) return false;
  }
  registers.cr4.poke(i, value >>> 0);
  // SDM Vol. 3A §4.10.4.1. PKE, PKS and SMAP invalidate nothing: they are looked at in each access.
  if ((changed & CR4_PGE) !== 0 || (changed & old & CR4_PCIDE) !== 0) flushAllContexts(cpu);
  else if ((changed & CR4_PAE) !== 0 || (changed & value & CR4_SMEP) !== 0) cpu.tlb.flush(true);
  return true;
}

/** RDMSR: the low half with `resultHigh` set, or -1 if it is #GP(0). */
export function readMsr(state: MachineState, msr: number): number {
  const i = state.cpu.index;
  state.resultHigh = 0;
  if (msr === IA32_PKRS && state.features.pks) return state.registers.pkrs.values[i] as number;
  if (msr === IA32_EFER) return state.registers.efer.values[i] as number;
  return -1;
}

/** WRMSR; false if it is #GP(0), nothing changed. */
export function writeMsr(state: MachineState, msr: number, low: number, high: number): boolean {
  if (high !== 0) return false;
  if (msr === IA32_PKRS && state.features.pks) {
    // SDM Vol. 3A §4.6.2: takes effect at once and needs no invalidation; not serialising.
    state.registers.pkrs.poke(state.cpu.index, low >>> 0);
    return true;
  }
  return msr === IA32_EFER && writeEfer(state, low >>> 0);
}

function writeEfer(state: MachineState, value: number): boolean {
  const { cpu, registers } = state;
  const old = registers.efer.values[cpu.index] as number;
  const paging = ((registers.cr0.values[cpu.index] as number) & CR0_PG) !== 0;
  if ((value & ~EFER_BITS) !== 0) return false;
  if (paging && ((old ^ value) & EFER_LME) !== 0) return false;
  // LMA is read-only: what is written to it is ignored.
  registers.efer.poke(cpu.index, (value & ~EFER_LMA) | (old & EFER_LMA));
  return true;
}
