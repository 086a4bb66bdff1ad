// SPDX-License-Identifier: MIT
// Event delivery: gate, stack switch, frame; faults on the way to double fault and shutdown. Intel SDM Vol. 3A §7.

import { NO_TABLE } from './cpu.ts';
import { type Fault, TripleFault } from './fault.ts';
import { loadSegment, readImplicit, writeImplicit } from './implicit.ts';
import { FAULTED } from './operation.ts';
import { SAVED_AC, SAVED_IF, SAVED_USER, VECTOR_DF, VECTOR_GP, VECTOR_PF } from './registers.ts';
import { type ExecutingState, load } from './transfer.ts';

/** An event that reached its handler: it may be another one than was sent. */
export interface Entered {
  readonly vector: number;
  readonly errorCode: number;
  readonly address: number;
  /** What IRET restores. */
  readonly saved: number;
}

const GATE_PRESENT = 1 << 15; // in the second word of a gate
const GATE_TRAP = 0xf; // leaves IF as it is
const GATE_INTERRUPT = 0xe;
const RFLAGS_FIXED = 1 << 1;
const RFLAGS_IF = 1 << 9;
const RFLAGS_AC = 1 << 18;
const KERNEL_CS = 0x10;
const KERNEL_SS = 0x18;
const USER_CS = 0x33;
const USER_SS = 0x2b;

/** The processor's part of an event where nothing is configured that it would read: IF off, CPL 0. */
export function saveFlags(state: ExecutingState, keepIf: boolean): number {
  const { registers, cpu } = state;
  const i = cpu.index;
  const saved = savedFlags(state);
  if (!keepIf) registers.interruptFlag.poke(i, 0);
  registers.cpl.poke(i, 0);
  return saved;
}

function savedFlags(state: ExecutingState): number {
  const { interruptFlag, cpl, ac } = state.registers;
  const i = state.cpu.index;
  const user = cpl.values[i] === 3 ? SAVED_USER : 0;
  const access = ac.values[i] === 1 ? SAVED_AC : 0;
  return (interruptFlag.values[i] === 1 ? SAVED_IF : 0) | user | access;
}

/**
 * Delivers an event to the point where its handler starts. A fault on the way is delivered in its place, or
 * becomes a double fault, or, from one, shutdown. SDM Vol. 3A §7.15, table 7-5.
 *
 * @throws {TripleFault} on shutdown.
 */
export function enterEvent(state: ExecutingState, first: Fault): Entered {
  let event: Fault = { ...first };
  for (;;) {
    if (event.vector === VECTOR_PF) recordCr2(state, event);
    const saved = tryEnter(state, event.vector, event.errorCode);
    if (saved !== FAULTED) {
      const { vector, errorCode, address } = event;
      return { vector, errorCode, address, saved };
    }
    const second = { ...state.fault };
    if (event.vector === VECTOR_DF) {
      throw new TripleFault(second, 'while a double fault was delivered: shutdown');
    }
    if (second.vector === VECTOR_PF) recordCr2(state, second);
    event = becomesDouble(event.vector, second.vector)
      ? { vector: VECTOR_DF, errorCode: 0, address: 0 }
      : second;
  }
}

function becomesDouble(first: number, second: number): boolean {
  const contributory = (vector: number): boolean =>
    vector === 0 || (vector >= 10 && vector <= VECTOR_GP);
  if (first === VECTOR_PF) return second === VECTOR_PF || contributory(second);
  return contributory(first) && contributory(second);
}

function recordCr2(state: ExecutingState, fault: Fault): void {
  const { cr2, cr2Offset } = state.registers;
  cr2.poke(state.cpu.index, fault.address);
  cr2Offset.poke(state.cpu.index, fault.offset ?? 0);
}

/** What the gate of a vector asks for. */
interface Gate {
  readonly stack: number;
  readonly trap: boolean;
}

/** Reads the gate, finds the stack, pushes the frame: what was saved, or `FAULTED` with nothing changed. */
function tryEnter(state: ExecutingState, vector: number, errorCode: number): number {
  const { registers, cpu } = state;
  const gate = readGate(state, vector);
  if (gate === null) return FAULTED;
  if (gate.stack !== NO_TABLE) {
    const frame = pushFrame(state, gate.stack, vector, errorCode);
    if (frame === FAULTED) return FAULTED;
    const saved = saveFlags(state, gate.trap);
    registers.rsp.poke(cpu.index, frame);
    return saved;
  }
  return saveFlags(state, gate.trap);
}

function readGate(state: ExecutingState, vector: number): Gate | null {
  const { registers, cpu } = state;
  const idt = registers.idtr.values[cpu.index] as number;
  if (idt === NO_TABLE) return readStack(state, 0, false);
  const gate = idt + vector * 16;
  const low = readImplicit(state, gate);
  if (low === FAULTED) return null;
  const attributes = state.resultHigh;
  if (readImplicit(state, gate + 8) === FAULTED) return null;
  const type = (attributes >>> 8) & 0xf;
  const present = (attributes & GATE_PRESENT) !== 0;
  if (!present || (type !== GATE_INTERRUPT && type !== GATE_TRAP)) {
    return refuse(state, vector * 8 + 2);
  }
  if (!readCodeSegment(state, low >>> 16)) return null;
  return readStack(state, attributes & 7, type === GATE_TRAP);
}

/** #GP with an error code that names the descriptor. */
function refuse(state: ExecutingState, errorCode: number): null {
  state.mmu.refuse(VECTOR_GP);
  state.fault.errorCode = errorCode;
  return null;
}

function readCodeSegment(state: ExecutingState, selector: number): boolean {
  const gdt = state.registers.gdtr.values[state.cpu.index] as number;
  if (gdt === NO_TABLE) return true;
  const low = loadSegment(state, gdt + (selector & 0xfff8));
  if (low === FAULTED) return false;
  const present = (state.resultHigh & (1 << 15)) !== 0;
  const code = (state.resultHigh & (0b11 << 11)) === 0b11 << 11;
  if (present && code) return true;
  refuse(state, selector & 0xfffc);
  return false;
}

/** The stack of an event: an IST one, RSP0 if it comes from user mode, else the one in use. */
function readStack(state: ExecutingState, ist: number, trap: boolean): Gate | null {
  const { registers, cpu } = state;
  const tss = registers.tr.values[cpu.index] as number;
  const user = registers.cpl.values[cpu.index] === 3;
  const current = registers.rsp.values[cpu.index] as number;
  if (tss === NO_TABLE || (ist === 0 && !user)) return { stack: current, trap };
  const field = ist === 0 ? 4 : 0x24 + (ist - 1) * 8;
  const low = readImplicit(state, tss + field);
  if (low === FAULTED) return null;
  // Canonical addresses are negative from bit 63 up.
  return { stack: (state.resultHigh | 0) * 0x1_0000_0000 + low, trap };
}

/** Pushes SS, RSP, RFLAGS, CS, RIP and an error code: the address of the saved RIP, or `FAULTED`. */
function pushFrame(
  state: ExecutingState,
  stack: number,
  vector: number,
  errorCode: number,
): number {
  const { registers, cpu, mmu } = state;
  const saved = savedFlags(state);
  const user = (saved & SAVED_USER) !== 0;
  const rsp = registers.rsp.values[cpu.index] as number;
  const flags =
    RFLAGS_FIXED |
    ((saved & SAVED_IF) !== 0 ? RFLAGS_IF : 0) |
    ((saved & SAVED_AC) !== 0 ? RFLAGS_AC : 0);
  const words = [user ? USER_SS : KERNEL_SS, rsp, flags, user ? USER_CS : KERNEL_CS, 0];
  let at = Math.floor(stack / 16) * 16;
  mmu.stackAccess = true;
  for (const word of hasErrorCode(vector) ? [...words, errorCode] : words) {
    at -= 8;
    if (!writeImplicit(state, at, word, Math.floor(word / 0x1_0000_0000))) {
      mmu.stackAccess = false;
      return FAULTED;
    }
  }
  mmu.stackAccess = false;
  // Software's `add $8, %rsp` after it has read the error code is taken as done.
  return hasErrorCode(vector) ? at + 8 : at;
}

function hasErrorCode(vector: number): boolean {
  return vector === VECTOR_DF || (vector >= 10 && vector <= VECTOR_PF) || vector === 17;
}

/** IRET: reads the frame if there is a stack, and restores what the event saved. */
export function leaveEvent(state: ExecutingState, saved: number, endsNmi: boolean): number {
  const { registers, cpu, mmu } = state;
  const i = cpu.index;
  const frame = registers.rsp.values[i] as number;
  if (frame !== NO_TABLE) {
    mmu.stackAccess = true;
    const low = load(state, frame + 24, 8);
    mmu.stackAccess = false;
    if (low === FAULTED) return FAULTED;
    registers.rsp.poke(i, (state.resultHigh | 0) * 0x1_0000_0000 + low);
  }
  registers.interruptFlag.poke(i, saved & SAVED_IF);
  registers.cpl.poke(i, (saved & SAVED_USER) !== 0 ? 3 : 0);
  registers.ac.poke(i, (saved & SAVED_AC) !== 0 ? 1 : 0);
  if (endsNmi || state.behaviours.iretUnblocksNmi === 'any') registers.nmiBlocked.poke(i, 0);
  return 0;
}
