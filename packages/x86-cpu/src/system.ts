// SPDX-License-Identifier: MIT
// Operations on registers, the TLB and events. Privileged ones are #GP(0) in user mode.

import { controlRegister, readMsr, writeControlRegister, writeMsr } from './control.ts';
import type { Cpu } from './cpu.ts';
import { leaveEvent } from './delivery.ts';
import { FAULTED, Op } from './operation.ts';
import { invalidateContext } from './pcid.ts';
import { raiseEvent } from './pending.ts';
import { CR4_PCIDE, CR4_PKE, EFER_SCE, VECTOR_GP, VECTOR_UD } from './registers.ts';
import { startCpu } from './reset.ts';
import type { ExecutingState } from './transfer.ts';

const PAGE = 4096;

/** RDMSR … IRET. */
export function executeRegister(
  state: ExecutingState,
  op: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  const { interruptFlag } = state.registers;
  const index = state.cpu.index;
  // POPF and IRET are not privileged: in user mode they leave IF alone.
  if (state.cpu.user && op < Op.popfIf) return refuse(state, VECTOR_GP);
  switch (op) {
    case Op.rdmsr: {
      const low = readMsr(state, a);
      return low < 0 ? refuse(state, VECTOR_GP) : low;
    }
    case Op.wrmsr:
      return writeMsr(state, a, c, d) ? 0 : refuse(state, VECTOR_GP);
    case Op.readCr:
      return controlRegister(state, a).values[index] as number;
    case Op.writeCr:
      return writeControlRegister(state, a, c, d) ? 0 : refuse(state, VECTOR_GP);
    case Op.cli:
      interruptFlag.poke(index, 0);
      return 0;
    case Op.sti:
      interruptFlag.poke(index, 1);
      return 0;
    case Op.pushfCli: {
      const flag = interruptFlag.values[index] as number;
      interruptFlag.poke(index, 0);
      return flag;
    }
    case Op.popfIf:
      if (!state.cpu.user) interruptFlag.poke(index, a & 1);
      return 0;
    default:
      return leaveEvent(state, a, b === 1);
  }
}

/** INVLPG, flushes, IPIs, and the instructions of keys, SMAP and descriptor tables. */
export function executeSystem(
  state: ExecutingState,
  op: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  const { cpu, registers } = state;
  if (op === Op.rdpkru || op === Op.wrpkru) return accessPkru(state, op, a, c, d);
  if (op === Op.stac || op === Op.clac) {
    if (cpu.user || !state.features.smap) return refuse(state, VECTOR_UD);
    registers.ac.poke(cpu.index, op === Op.stac ? 1 : 0);
    return 0;
  }
  if (op === Op.syscall) return systemCall(state);
  if (op === Op.setStack) {
    registers.rsp.poke(cpu.index, a);
    return 0;
  }
  if (cpu.user) return refuse(state, VECTOR_GP);
  switch (op) {
    case Op.invlpg:
      // A non-canonical address is ignored.
      cpu.tlb.invalidatePage(Math.floor(a / PAGE));
      return 0;
    case Op.flushTlb:
      flush(b === 0 ? cpu : (state.cpus[b - 1] as Cpu), a === 1);
      return 0;
    case Op.invpcid:
      return executeInvpcid(state, a, b, c);
    case Op.sendIpi:
      raiseEvent(state, a, b);
      return 0;
    case Op.startCpu:
      startCpu(state, a, b);
      return 0;
    case Op.lidt:
      registers.idtr.poke(cpu.index, a);
      return 0;
    case Op.lgdt:
      registers.gdtr.poke(cpu.index, a);
      return 0;
    default:
      registers.tr.poke(cpu.index, a);
      return 0;
  }
}

/** RDPKRU and WRPKRU: any CPL, #UD while CR4.PKE=0, ECX (and EDX for a write) must be 0. */
function accessPkru(
  state: ExecutingState,
  op: number,
  ecx: number,
  eax: number,
  edx: number,
): number {
  const { cpu, registers } = state;
  if ((cpu.rights.cr4 & CR4_PKE) === 0) return refuse(state, VECTOR_UD);
  if (ecx !== 0) return refuse(state, VECTOR_GP);
  if (op === Op.rdpkru) {
    state.resultHigh = 0;
    return registers.pkru.values[cpu.index] as number;
  }
  if (edx !== 0) return refuse(state, VECTOR_GP);
  registers.pkru.poke(cpu.index, eax >>> 0);
  return 0;
}

function executeInvpcid(
  state: ExecutingState,
  type: number,
  context: number,
  address: number,
): number {
  const { cpu, registers, features } = state;
  if (!features.invpcid) return refuse(state, VECTOR_UD);
  const contexts = (cpu.rights.cr4 & CR4_PCIDE) !== 0;
  const bad = type > 3 || context > 0xfff || (type < 2 && !contexts && context !== 0);
  if (bad) return refuse(state, VECTOR_GP);
  const page = Math.floor(address / PAGE);
  if (type === 0 && !state.mmu.checkCanonical(page)) return refuse(state, VECTOR_GP);
  const current = contexts ? (registers.cr3.values[cpu.index] as number) & 0xfff : 0;
  invalidateContext(cpu, type, context, page, current);
  return 0;
}

/** SYSCALL: #UD while EFER.SCE=0. IA32_FMASK is not modelled: IF and AC are cleared, as Linux has it. SDM Vol. 2B. */
function systemCall(state: ExecutingState): number {
  const { cpu, registers } = state;
  if ((cpu.rights.efer & EFER_SCE) === 0) return refuse(state, VECTOR_UD);
  registers.interruptFlag.poke(cpu.index, 0);
  registers.ac.poke(cpu.index, 0);
  registers.cpl.poke(cpu.index, 0);
  return 0;
}

function refuse(state: ExecutingState, vector: number): number {
  state.mmu.refuse(vector);
  return FAULTED;
}

function flush(cpu: Cpu, global: boolean): void {
  cpu.tlb.flush(global);
  if (global) cpu.parked.clear();
}
