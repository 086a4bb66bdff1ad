// SPDX-License-Identifier: MIT
// Entry and exit of interrupts, exceptions and NMIs, in the shape of 5.8. arch/x86/entry/common.c

import { type EventHandlers, type Machine, Outcome, SAVED_IF } from '@pkslab/x86-cpu';
import { Mark } from './mark.ts';
import { HARDIRQ_OFFSET, NMI_OFFSET, type Preempt } from './preempt.ts';
import type { Scheduler } from './sched.ts';
import type { EntryState, Regs, Slots } from './slots.ts';

/** How idtentry_enter hands its state to what saves into it. */
export type StatePassing = 'byValue' | 'byReference';

/** Which entries save and restore: idtentry only, or the NMI class too. */
export type NmiCoverage = 'no' | 'yes';

export const RESCHEDULE_VECTOR = 0xfd;
export const VECTOR_NMI = 2;
export const VECTOR_MC = 18;

export interface EntryChoices {
  readonly statePassing: StatePassing;
  readonly nmiCovered: NmiCoverage;
}

const PASS: Readonly<Record<StatePassing, (state: EntryState) => EntryState>> = {
  // A struct argument in C is a copy: what the callee writes into it is lost.
  byValue: (state) => ({ words: [...state.words] }),
  byReference: (state) => state,
};

export class Entry implements EventHandlers {
  readonly #machine: Machine;
  readonly #preempt: Preempt;
  readonly #sched: Scheduler;
  readonly #slots: Slots;
  readonly #pass: (state: EntryState) => EntryState;
  readonly #nmiCovered: boolean;
  readonly #irqHandlers = new Map<number, () => void>();
  readonly #nmiHandlers: (() => void)[] = [];
  /** exc_page_fault's body: an Outcome, or no return at all. */
  handlePageFault: (regs: Regs, errorCode: number, address: number) => number = () => Outcome.retry;
  /** exc_general_protection's body. */
  handleGeneralProtection: (regs: Regs, errorCode: number) => number = () => Outcome.retry;

  constructor(
    machine: Machine,
    preempt: Preempt,
    sched: Scheduler,
    slots: Slots,
    choices: EntryChoices,
  ) {
    this.#machine = machine;
    this.#preempt = preempt;
    this.#sched = sched;
    this.#slots = slots;
    this.#pass = PASS[choices.statePassing];
    this.#nmiCovered = choices.nmiCovered === 'yes';
    this.requestIrq(RESCHEDULE_VECTOR, () => preempt.needResched.write(1));
  }

  /** request_irq: installs the handler of a vector; at boot. */
  requestIrq(vector: number, handler: () => void): void {
    this.#irqHandlers.set(vector, handler);
  }

  /** register_nmi_handler; at boot. */
  registerNmi(handler: () => void): void {
    this.#nmiHandlers.push(handler);
  }

  /** common_interrupt */
  interrupt(vector: number, saved: number): void {
    const state = this.#idtentryEnter();
    const regs: Regs = { interruptFlag: saved & SAVED_IF, fixup: false, vector, state };
    this.#preempt.count.add(HARDIRQ_OFFSET);
    this.#beginBody(vector);
    this.#irqHandlers.get(vector)?.();
    this.#endBody();
    this.#preempt.count.add(-HARDIRQ_OFFSET);
    this.#idtentryExit(regs, state);
    this.#machine.iret(saved, 0);
  }

  /** exc_nmi */
  nmi(saved: number): void {
    this.#nmiClass(VECTOR_NMI);
    this.#machine.iret(saved, 1);
  }

  /** exc_machine_check */
  machineCheck(saved: number): void {
    this.#nmiClass(VECTOR_MC);
    this.#machine.iret(saved, 0);
  }

  /** nmi_enter … nmi_exit: never reschedules. */
  #nmiClass(vector: number): void {
    this.#machine.mark(Mark.entry, 1);
    this.#preempt.count.add(NMI_OFFSET + HARDIRQ_OFFSET);
    const state = this.#newState();
    if (this.#nmiCovered) this.#save(state);
    this.#beginBody(vector);
    for (const handler of this.#nmiHandlers) handler();
    this.#endBody();
    if (this.#nmiCovered) this.#restore(state);
    this.#machine.mark(Mark.restored, 1);
    this.#preempt.count.add(-NMI_OFFSET - HARDIRQ_OFFSET);
  }

  /** exc_page_fault */
  pageFault(errorCode: number, address: number, saved: number, fixup: boolean): number {
    const state = this.#idtentryEnter();
    const regs: Regs = { interruptFlag: saved & SAVED_IF, fixup, vector: 14, state };
    this.#beginBody(14);
    const outcome = this.handlePageFault(regs, errorCode, address);
    this.#endBody();
    this.#idtentryExit(regs, state);
    this.#machine.iret(saved, 0);
    return outcome;
  }

  /** exc_general_protection */
  generalProtection(errorCode: number, saved: number, fixup: boolean): number {
    const state = this.#idtentryEnter();
    const regs: Regs = { interruptFlag: saved & SAVED_IF, fixup, vector: 13, state };
    this.#beginBody(13);
    const outcome = this.handleGeneralProtection(regs, errorCode);
    this.#endBody();
    this.#idtentryExit(regs, state);
    this.#machine.iret(saved, 0);
    return outcome;
  }

  #newState(): EntryState {
    return { words: new Array<number>(this.#slots.entryWords).fill(0) };
  }

  #save(state: EntryState): void {
    const passed = this.#pass(state);
    for (const save of this.#slots.entrySave) save(passed);
  }

  /** The entry sequence is over: what follows is the handler's own code. */
  #beginBody(vector: number): void {
    this.#machine.mark(Mark.entry, 0);
    this.#machine.mark(Mark.handlerBody, 1, vector);
  }

  /** The handler's own code is over; the exit sequence lasts until IRET. */
  #endBody(): void {
    this.#machine.mark(Mark.entry, 1);
  }

  #restore(state: EntryState): void {
    const { entryRestore } = this.#slots;
    for (let i = entryRestore.length - 1; i >= 0; i--) entryRestore[i]?.(state);
  }

  /** idtentry_enter: the simulated kernel interrupts kernel code only; user entry has INIT already. */
  #idtentryEnter(): EntryState {
    this.#machine.mark(Mark.entry, 1);
    const state = this.#newState();
    this.#save(state);
    return state;
  }

  /** idtentry_exit */
  #idtentryExit(regs: Regs, state: EntryState): void {
    this.#restore(state);
    this.#machine.mark(Mark.restored, 1);
    if (regs.interruptFlag === 0) return;
    if (this.#preempt.count.read() !== 0) return;
    if (this.#preempt.needResched.read() !== 0) this.#sched.preemptScheduleIrq();
  }
}
