// SPDX-License-Identifier: MIT
// Accesses that the processor makes by itself: supervisor mode whatever CPL is. Intel SDM Vol. 3A §4.6.1.

import { FAULTED } from './operation.ts';
import { type ExecutingState, touch } from './transfer.ts';

const PAGE = 4096;
/** Bit 40 of a segment descriptor: accessed. It is bit 0 of byte 5. */
const DESCRIPTOR_ACCESSED = 1;

/** Reads 8 bytes: the low half, the high half in `resultHigh`; `FAULTED` if refused. */
export function readImplicit(state: ExecutingState, address: number): number {
  if (!translate(state, address, false)) return FAULTED;
  if (crosses(address)) {
    if (!translate(state, address + 7, false)) return FAULTED;
    translate(state, address, false);
  }
  let low = 0;
  let high = 0;
  for (let i = 0; i < 8; i++) {
    if (((address + i) & (PAGE - 1)) === 0 && !translate(state, address + i, false)) return FAULTED;
    const byte = state.mmu.chunk?.bytes[state.mmu.offset++] as number;
    if (i < 4) low += byte * 2 ** (i * 8);
    else high += byte * 2 ** (i * 8 - 32);
  }
  state.resultHigh = high;
  return low;
}

/** Writes 8 bytes, as event delivery pushes them. */
export function writeImplicit(
  state: ExecutingState,
  address: number,
  low: number,
  high: number,
): boolean {
  if (!translate(state, address, true)) return false;
  if (crosses(address) && !translate(state, address + 7, true)) return false;
  for (let i = 0; i < 8; i++) {
    if (!translate(state, address + i, true)) return false;
    const { chunk, offset } = state.mmu;
    if (chunk === null) return false;
    touch(state, chunk, offset, 1);
    chunk.bytes[offset] = i < 4 ? low >>> (i * 8) : high >>> ((i - 4) * 8);
  }
  return true;
}

/**
 * Loads a segment register: reads the descriptor, and sets its accessed bit if that is clear, which is a write.
 *
 * SDM Vol. 3A §5.4; the read is checked first.
 */
export function loadSegment(state: ExecutingState, descriptor: number): number {
  const low = readImplicit(state, descriptor);
  if (low === FAULTED) return FAULTED;
  const high = state.resultHigh;
  if (((high >>> 8) & DESCRIPTOR_ACCESSED) === 0) {
    if (!translate(state, descriptor + 5, true)) return FAULTED;
    const { chunk, offset } = state.mmu;
    if (chunk === null) return FAULTED;
    touch(state, chunk, offset, 1);
    chunk.bytes[offset] = (chunk.bytes[offset] as number) | DESCRIPTOR_ACCESSED;
  }
  state.resultHigh = high;
  return low;
}

function crosses(address: number): boolean {
  return (address & (PAGE - 1)) > PAGE - 8;
}

function translate(state: ExecutingState, address: number, write: boolean): boolean {
  const page = Math.floor(address / PAGE);
  const kind = write ? 'write' : 'read';
  return state.mmu.translatePage(page, address & (PAGE - 1), kind, true);
}
