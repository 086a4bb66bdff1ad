// SPDX-License-Identifier: MIT
// Events that wait for a CPU: which one it would take next. Intel SDM Vol. 3A §7.9.

import { VECTOR_MC, VECTOR_NMI } from './registers.ts';
import type { MachineState } from './state.ts';

const WORDS = 8;

/** Makes an event pending on a CPU: an interrupt vector, 2 for an NMI, 18 for a machine check. */
export function raiseEvent(state: MachineState, cpu: number, vector: number): void {
  if (state.cpus[cpu] === undefined || !Number.isInteger(vector) || vector < 0 || vector > 255) {
    throw new RangeError(`vector ${vector} for CPU ${cpu}: no such CPU or vector`);
  }
  const { pending } = state.registers;
  const word = cpu * WORDS + (vector >>> 5);
  pending.poke(word, ((pending.values[word] as number) | (1 << (vector & 31))) >>> 0);
}

/** Takes back a pending event: it is being delivered. */
export function acknowledgeEvent(state: MachineState, cpu: number, vector: number): void {
  const { pending } = state.registers;
  const word = cpu * WORDS + (vector >>> 5);
  pending.poke(word, ((pending.values[word] as number) & ~(1 << (vector & 31))) >>> 0);
}

/**
 * The pending event that a CPU would take now, or -1: a machine check, an NMI unless they are blocked, the
 * interrupt with the highest vector if IF is set.
 */
export function deliverableEvent(state: MachineState, cpu: number): number {
  const { pending, nmiBlocked, interruptFlag } = state.registers;
  const first = pending.values[cpu * WORDS] as number;
  if ((first & (1 << VECTOR_MC)) !== 0) return VECTOR_MC;
  if ((first & (1 << VECTOR_NMI)) !== 0 && nmiBlocked.values[cpu] === 0) return VECTOR_NMI;
  if (interruptFlag.values[cpu] === 0) return -1;
  for (let word = WORDS - 1; word >= 1; word--) {
    const bits = pending.values[cpu * WORDS + word] as number;
    if (bits !== 0) return word * 32 + 31 - Math.clz32(bits);
  }
  return -1;
}
