// SPDX-License-Identifier: MIT
// The kernel's entry points: interrupts, exceptions and NMIs, in the shape of 5.8. arch/x86/entry, traps.c, irq.c

import {
  type EventHandlers,
  type FieldDefinition,
  type Machine,
  Outcome,
  PerCpu,
  SAVED_IF,
  SAVED_USER,
  VECTOR_DF,
  VECTOR_GP,
  VECTOR_MC,
  VECTOR_NMI,
  VECTOR_PF,
} from '@pkslab/x86-cpu';
import { type EntryParts, Idtentry } from './idtentry.ts';
import { HARDIRQ_OFFSET, type Preempt } from './preempt.ts';
import type { EntryState, Regs } from './slots.ts';
import type { Softirq } from './softirq.ts';
import {
  HYPERVISOR_CALLBACK_VECTOR,
  RESCHEDULE_VECTOR,
  VECTOR_BREAKPOINT,
  VECTOR_DEBUG,
} from './vectors.ts';

/** xen_in_preemptible_hcall: the interrupted task is in a hypercall that may be preempted. */
const preemptibleHypercallField: FieldDefinition = {
  name: 'xen_in_preemptible_hcall',
  type: 'bool',
  initial: 0,
  per: 'cpu',
};

export class Entry implements EventHandlers {
  readonly #machine: Machine;
  readonly #preempt: Preempt;
  readonly #idtentry: Idtentry;
  readonly #softirq: Softirq;
  readonly #irqHandlers = new Map<number, () => void>();
  readonly #nmiHandlers: (() => void)[] = [];
  /** xen_in_preemptible_hcall: code that makes such a hypercall sets it to 1 and back to 0. */
  readonly preemptibleHypercall: PerCpu;
  /** exc_page_fault's body: an Outcome, or no return at all. */
  handlePageFault: (regs: Regs, errorCode: number, address: number) => number = () => Outcome.retry;
  /** exc_general_protection's body. */
  handleGeneralProtection: (regs: Regs, errorCode: number, address: number) => number = () =>
    Outcome.retry;
  /** exc_double_fault's body, which does not return. */
  handleDoubleFault: (regs: Regs) => void = () => {};

  constructor(parts: EntryParts, softirq: Softirq) {
    const { machine, preempt } = parts;
    this.#machine = machine;
    this.#preempt = preempt;
    this.#softirq = softirq;
    this.#idtentry = new Idtentry(parts);
    this.preemptibleHypercall = new PerCpu(machine.column(preemptibleHypercallField));
    this.requestIrq(RESCHEDULE_VECTOR, () => preempt.needResched.write(1));
  }

  /** request_irq: installs the handler of a vector; at boot. Vectors 1 and 3 are #DB and #BP. */
  requestIrq(vector: number, handler: () => void): void {
    this.#irqHandlers.set(vector, handler);
  }

  /** register_nmi_handler; at boot. */
  registerNmi(handler: () => void): void {
    this.#nmiHandlers.push(handler);
  }

  /** common_interrupt; #DB, #BP and Xen's upcall by their vectors. */
  interrupt(vector: number, saved: number): void {
    if (vector === VECTOR_DEBUG || vector === VECTOR_BREAKPOINT) {
      this.#nmiClass(vector);
    } else {
      const state = this.#idtentry.enter(saved);
      const regs = regsOf(saved, false, vector, state);
      if (vector === HYPERVISOR_CALLBACK_VECTOR) this.#upcall(regs, state);
      else {
        this.#irqBody(vector);
        this.#idtentry.exit(regs, state);
      }
    }
    this.#machine.iret(saved, 0);
  }

  /** irq_enter_rcu, the handler, irq_exit_rcu. */
  #irqBody(vector: number): void {
    this.#preempt.count.add(HARDIRQ_OFFSET);
    this.#idtentry.beginBody(vector);
    this.#irqHandlers.get(vector)?.();
    this.#preempt.count.add(-HARDIRQ_OFFSET);
    this.#softirq.irqExit();
    this.#idtentry.endBody();
  }

  /** xen_pv_evtchn_do_upcall: in a preemptible hypercall it leaves by another exit than all others. */
  #upcall(regs: Regs, state: EntryState): void {
    const inHypercall = this.preemptibleHypercall.read();
    if (inHypercall !== 0) this.preemptibleHypercall.write(0);
    this.#irqBody(regs.vector);
    // Out of the idle loop the flag is one that a hypercaller left behind when it was preempted.
    if (inHypercall === 0 || state.exitRcu) this.#idtentry.exit(regs, state);
    else {
      this.#idtentry.exitUpcall(regs, state);
      this.preemptibleHypercall.write(inHypercall);
    }
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

  /** nmi_enter … nmi_exit */
  #nmiClass(vector: number): void {
    const state = this.#idtentry.nmiEnter(vector);
    this.#idtentry.beginBody(vector);
    const own = this.#irqHandlers.get(vector);
    if (vector === VECTOR_DEBUG || vector === VECTOR_BREAKPOINT) own?.();
    else for (const handler of this.#nmiHandlers) handler();
    this.#idtentry.endBody();
    this.#idtentry.nmiExit(vector, state);
  }

  /** exc_double_fault: the stack or the tables are broken; the machine stops. */
  doubleFault(saved: number): void {
    const state = this.#idtentry.nmiEnter(VECTOR_DF);
    this.#idtentry.beginBody(VECTOR_DF);
    this.handleDoubleFault(regsOf(saved, false, VECTOR_DF, state));
  }

  /** exc_page_fault */
  pageFault(errorCode: number, address: number, saved: number, fixup: boolean): number {
    const state = this.#idtentry.enter(saved);
    const regs = regsOf(saved, fixup, VECTOR_PF, state);
    this.#idtentry.beginBody(VECTOR_PF);
    const outcome = this.handlePageFault(regs, errorCode, address);
    this.#idtentry.endBody();
    this.#idtentry.exit(regs, state);
    this.#machine.iret(saved, 0);
    return outcome;
  }

  /** exc_general_protection */
  generalProtection(errorCode: number, saved: number, fixup: boolean, address: number): number {
    const state = this.#idtentry.enter(saved);
    const regs = regsOf(saved, fixup, VECTOR_GP, state);
    this.#idtentry.beginBody(VECTOR_GP);
    const outcome = this.handleGeneralProtection(regs, errorCode, address);
    this.#idtentry.endBody();
    this.#idtentry.exit(regs, state);
    this.#machine.iret(saved, 0);
    return outcome;
  }
}

function regsOf(saved: number, fixup: boolean, vector: number, state: EntryState): Regs {
  const userMode = (saved & SAVED_USER) !== 0;
  return { interruptFlag: saved & SAVED_IF, userMode, fixup, vector, state };
}
