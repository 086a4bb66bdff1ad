// SPDX-License-Identifier: MIT
// The host's side of a task: the record of its current call, and how its stack is left.

/** One recorded operation, or an event that was under way when the stack was left. */
export interface Entry {
  readonly kind: number;
  readonly a: number;
  result: number;
  readonly high: number;
  /** For an event: the arguments of its handler. */
  readonly event: readonly number[] | null;
  /** What a copy out of the machine brought: the code that is run again has a new, empty buffer. */
  readonly bytes: Uint8Array | null;
}

/** The host's side of a task: the record of its current call. */
export interface Thread {
  readonly task: number;
  readonly log: Entry[];
  cursor: number;
  /** −1: ret_from_fork; then its calls; then do_exit. */
  call: number;
}

/** Thrown through a task's frames: another stack runs next on this CPU. */
export class StackSwitch {
  readonly next: number;
  readonly from: number;
  constructor(next: number, from: number) {
    this.next = next;
    this.from = from;
  }
}

/** Thrown through a CPU's frames: its turn is over, it has nothing to do, or it waits for a CPU below it. */
export class Pause {
  readonly reason: 'budget' | 'halted' | 'blocked';
  constructor(reason: 'budget' | 'halted' | 'blocked') {
    this.reason = reason;
  }
}

// Kinds of event entries, outside the range of operations.
export const EVENT_IRQ = -1;
export const EVENT_NMI = -2;
export const EVENT_MC = -3;
export const EVENT_PF = -4;
export const EVENT_GP = -5;
