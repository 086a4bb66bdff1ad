// SPDX-License-Identifier: MIT
// Hook slots: where the kernel calls the code of modules. Filled at boot, constant from then on.

/** struct idtentry_state: what an entry hands to its exit; it lives on the entry's stack. */
export interface EntryState {
  /** One word for each that a module reserved; 0 at entry. */
  readonly words: number[];
  /** idtentry_state.exit_rcu: the entry made RCU watch, and its exit ends that. */
  exitRcu: boolean;
}

/** struct pt_regs, as far as handlers look at it. */
export interface Regs {
  /** RFLAGS.IF of the interrupted context. */
  readonly interruptFlag: number;
  /** user_mode(regs): the interrupted context was at CPL 3. */
  readonly userMode: boolean;
  /** The faulting instruction has an exception-table entry. */
  readonly fixup: boolean;
  readonly vector: number;
  /** What the entry saved of the interrupted context. */
  readonly state: EntryState;
}

/**
 * Functions that modules put into the kernel's code, each list in the order of `boot({ modules })`.
 *
 * Use it in `KernelModule.create`; after boot the lists are constant.
 */
export class Slots {
  /** identify_cpu: once on each CPU as it comes up, boot CPU first. */
  readonly cpuInit: (() => void)[] = [];
  /** __switch_to, with the task that is being switched to. */
  readonly switchIn: ((next: number) => void)[] = [];
  readonly entrySave: ((state: EntryState) => void)[] = [];
  readonly entryRestore: ((state: EntryState) => void)[] = [];
  /** do_kern_addr_fault with X86_PF_PK: true if the access may be tried again. */
  readonly keyFault: ((regs: Regs, errorCode: number, address: number) => boolean)[] = [];
  readonly fork: ((parent: number, child: number) => void)[] = [];
  readonly exec: ((task: number) => void)[] = [];
  readonly exit: ((task: number) => void)[] = [];
  /** show_fault_oops: lines that a module adds to the report of a page fault, after the error code. */
  readonly faultReport: ((regs: Regs, errorCode: number) => string | null)[] = [];
  /** __show_regs: lines that a module adds to the registers of every oops. */
  readonly showRegs: ((regs: Regs) => string)[] = [];
  entryWords = 0;

  /** Reserves a word of {@link EntryState} and returns its index. */
  reserveEntryWord(): number {
    return this.entryWords++;
  }
}
