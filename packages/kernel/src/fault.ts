// SPDX-License-Identifier: MIT
// Kernel page faults: key hooks, the exception tables, sleeping faults on user memory. arch/x86/mm/fault.c

import { formatAddress, type Machine, Outcome, PF_PK } from '@pkslab/x86-cpu';
import type { Entry } from './entry.ts';
import type { Oops } from './oops.ts';
import type { Preempt } from './preempt.ts';
import type { Scheduler } from './sched.ts';
import type { Regs, Slots } from './slots.ts';
import type { Tasks } from './task.ts';
import type { UserMm } from './user-mm.ts';

/**
 * Set in the error code of a fault that a source of events delivers on a user buffer: waiting resolves it.
 * Not a bit of the hardware's. A fault that the machine itself raises in the user half is a wild pointer.
 */
export const PF_USER_MEMORY: number = 1 << 30;

/** At which key faults on a kernel address do_kern_addr_fault warns. */
export type KeyFaultWarn = 'unhandled' | 'withoutPks';

export class FaultHandler {
  readonly #machine: Machine;
  readonly #preempt: Preempt;
  readonly #tasks: Tasks;
  readonly #sched: Scheduler;
  readonly #slots: Slots;
  readonly #oops: Oops;
  readonly #userMm: UserMm;
  readonly #warnsOfKeyFaults: boolean;

  constructor(
    machine: Machine,
    preempt: Preempt,
    tasks: Tasks,
    sched: Scheduler,
    slots: Slots,
    oops: Oops,
    entry: Entry,
    keyFaultWarn: KeyFaultWarn,
    userMm: UserMm,
  ) {
    this.#machine = machine;
    this.#preempt = preempt;
    this.#tasks = tasks;
    this.#sched = sched;
    this.#slots = slots;
    this.#oops = oops;
    this.#userMm = userMm;
    this.#warnsOfKeyFaults = keyFaultWarn === 'unhandled' || !machine.features.pks;
    entry.handlePageFault = (regs, code, address) => this.#handle(regs, code, address);
    entry.handleDoubleFault = (regs) => oops.doubleFault(regs);
    entry.handleGeneralProtection = (regs, code, address) =>
      regs.fixup || regs.userMode
        ? this.#signal(regs, 'SIGSEGV (SI_KERNEL)', address)
        : oops.generalProtection(regs, code, address);
  }

  /** handle_page_fault: by the half of the address space that the address lies in. */
  #handle(regs: Regs, errorCode: number, address: number): number {
    return address < 0
      ? this.#kernelAddress(regs, errorCode, address)
      : this.#userAddress(regs, errorCode, address);
  }

  /** do_kern_addr_fault */
  #kernelAddress(regs: Regs, errorCode: number, address: number): number {
    if ((errorCode & PF_PK) !== 0) {
      for (const hook of this.#slots.keyFault) {
        if (hook(regs, errorCode, address)) return Outcome.retry;
      }
      if (this.#warnsOfKeyFaults) this.#oops.warnOn('hw_error_code & X86_PF_PK');
    }
    return this.#noContext(regs, errorCode, address);
  }

  /** do_user_addr_fault: the page comes from somewhere slow, so the task may sleep here. */
  #userAddress(regs: Regs, errorCode: number, address: number): number {
    if ((errorCode & PF_USER_MEMORY) === 0) return this.#inArea(regs, errorCode, address);
    const disabled = this.#tasks.pagefaultDisabled.get(this.#tasks.current) !== 0;
    if (disabled || this.#preempt.inAtomic)
      return this.#noContext(regs, errorCode & ~PF_USER_MEMORY, address);
    if (regs.interruptFlag === 0) return Outcome.retry;
    this.#machine.sti();
    this.#sched.schedule();
    this.#machine.cli();
    return Outcome.retry;
  }

  /** The page that is missing may be one of a mapped device's; else the address is wild. */
  #inArea(regs: Regs, errorCode: number, address: number): number {
    if (!regs.userMode && !this.#mayHaveAreas()) return this.#noContext(regs, errorCode, address);
    if (regs.interruptFlag !== 0) this.#machine.sti();
    const signal = this.#userMm.handleFault(errorCode, address);
    this.#machine.cli();
    if (signal === null) return Outcome.retry;
    return regs.userMode
      ? this.#signal(regs, signal, address)
      : this.#noContext(regs, errorCode, address);
  }

  /** faulthandler_disabled(), and whether there is anything to find. */
  #mayHaveAreas(): boolean {
    if (this.#tasks.pagefaultDisabled.get(this.#tasks.current) !== 0) return false;
    return !this.#preempt.inAtomic && this.#userMm.hasAreas;
  }

  /** no_context: the exception table, or an oops; user mode gets a signal. */
  #noContext(regs: Regs, errorCode: number, address: number): number {
    if (regs.userMode) return this.#signal(regs, 'SIGSEGV (SEGV_MAPERR)', address);
    return regs.fixup ? Outcome.fixup : this.#oops.pageFault(regs, errorCode, address);
  }

  /** force_sig_fault: an instruction with a fixup is one of a program that handles the signal. */
  #signal(regs: Regs, signal: string, address: number): number {
    if (regs.fixup) return Outcome.fixup;
    return this.#oops.killedBySignal(`${signal} at ${formatAddress(address)}`);
  }
}
