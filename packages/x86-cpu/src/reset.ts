// SPDX-License-Identifier: MIT
// RESET and INIT of one logical processor. Intel SDM Vol. 3A §10.1, table 10-1.

import { LONG_MODE, NO_TABLE, RESET_CR0 } from './cpu.ts';
import { flushAllContexts } from './pcid.ts';
import { CR0_CD, CR0_NW, CR4_LA57 } from './registers.ts';
import type { MachineState } from './state.ts';

/** RESET or power-up: real mode, paging off, PKRS and PKRU 0, TLB empty. */
export function resetCpu(state: MachineState, index: number): void {
  const { registers } = state;
  toRealMode(state, index, RESET_CR0);
  registers.pkrs.poke(index, 0);
  registers.pkru.poke(index, 0);
}

/** INIT: as RESET, but CR0.CD and NW, PKRS and PKRU stay. */
export function initCpu(state: MachineState, index: number): void {
  const old = state.registers.cr0.values[index] as number;
  const cache = old & (CR0_CD | CR0_NW);
  toRealMode(state, index, ((RESET_CR0 & ~(CR0_CD | CR0_NW)) | cache) >>> 0);
}

/**
 * INIT, a start-up IPI, and what every start-up code does first: 64-bit mode with the given CR3 and the paging
 * mode of CPU 0. All else is as INIT leaves it: PKRS and PKRU as they were, CR4.PKS and CR4.PKE clear.
 */
export function startCpu(state: MachineState, index: number, cr3: number): void {
  const { registers } = state;
  if (state.cpus[index] === undefined) throw new RangeError(`CPU ${index}: no such CPU`);
  initCpu(state, index);
  const la57 = (registers.cr4.values[0] as number) & CR4_LA57;
  registers.cr4.poke(index, (LONG_MODE.cr4 | la57) >>> 0);
  registers.efer.poke(index, LONG_MODE.efer);
  registers.cr3.poke(index, cr3);
  registers.cr0.poke(index, LONG_MODE.cr0);
}

function toRealMode(state: MachineState, index: number, cr0: number): void {
  const { registers, cpus } = state;
  registers.cr0.poke(index, cr0);
  registers.efer.poke(index, 0);
  for (const column of [registers.cr2, registers.cr2Offset, registers.cr3, registers.cr4]) {
    column.poke(index, 0);
  }
  for (const column of [
    registers.interruptFlag,
    registers.ac,
    registers.cpl,
    registers.nmiBlocked,
  ]) {
    column.poke(index, 0);
  }
  for (const column of [registers.idtr, registers.gdtr, registers.tr, registers.rsp]) {
    column.poke(index, NO_TABLE);
  }
  for (let word = 0; word < 8; word++) registers.pending.poke(index * 8 + word, 0);
  const cpu = cpus[index];
  if (cpu !== undefined) flushAllContexts(cpu);
}
