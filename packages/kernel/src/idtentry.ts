// SPDX-License-Identifier: MIT
// What every entry does before and after its handler: RCU, saved state, rescheduling. arch/x86/entry/common.c

import { type Machine, MarkWindow, SAVED_USER, VECTOR_MC, VECTOR_NMI } from '@pkslab/x86-cpu';
import { Mark } from './mark.ts';
import { HARDIRQ_OFFSET, NMI_OFFSET, type Preempt } from './preempt.ts';
import type { Rcu } from './rcu.ts';
import type { Scheduler } from './sched.ts';
import type { EntryState, Regs, Slots } from './slots.ts';
import type { Tasks } from './task.ts';

/** How idtentry_enter hands its state to what saves into it. */
export type StatePassing = 'byValue' | 'byReference';

/** Which entries of the NMI class save and restore, as ordinary entries do. */
export type NmiCoverage = 'no' | 'nmiAndMc' | 'yes';

/** Where in an entry the state is saved, and restored in its exit. */
export type EntrySaveAt = 'beforeRcu' | 'instrumentable';

/** How the Xen upcall's own exit restores what the entry saved. */
export type XenUpcall = 'restores' | 'forgotten';

export interface EntryChoices {
  readonly statePassing: StatePassing;
  readonly nmiCovered: NmiCoverage;
  readonly entrySaveAt: EntrySaveAt;
  readonly xenUpcall: XenUpcall;
}

/** What entries need of the kernel. */
export interface EntryParts {
  readonly machine: Machine;
  readonly preempt: Preempt;
  readonly sched: Scheduler;
  readonly tasks: Tasks;
  readonly rcu: Rcu;
  readonly slots: Slots;
  readonly choices: EntryChoices;
}

const PASS: Readonly<Record<StatePassing, (state: EntryState) => EntryState>> = {
  // A struct argument in C is a copy: what the callee writes into it is lost.
  byValue: (state) => ({ ...state, words: [...state.words] }),
  byReference: (state) => state,
};

const COVERS: Readonly<Record<NmiCoverage, (vector: number) => boolean>> = {
  no: () => false,
  nmiAndMc: (vector) => vector === VECTOR_NMI || vector === VECTOR_MC,
  yes: () => true,
};

export class Idtentry {
  readonly #machine: Machine;
  readonly #preempt: Preempt;
  readonly #sched: Scheduler;
  readonly #tasks: Tasks;
  readonly #rcu: Rcu;
  readonly #slots: Slots;
  readonly #pass: (state: EntryState) => EntryState;
  readonly #covers: (vector: number) => boolean;
  readonly #savesBeforeRcu: boolean;
  readonly #upcallRestores: boolean;
  readonly #instrumentation: MarkWindow;

  constructor({ machine, preempt, sched, tasks, rcu, slots, choices }: EntryParts) {
    this.#machine = machine;
    this.#preempt = preempt;
    this.#sched = sched;
    this.#tasks = tasks;
    this.#rcu = rcu;
    this.#slots = slots;
    this.#pass = PASS[choices.statePassing];
    this.#covers = COVERS[choices.nmiCovered];
    this.#savesBeforeRcu = choices.entrySaveAt === 'beforeRcu';
    this.#upcallRestores = choices.xenUpcall !== 'forgotten';
    this.#instrumentation = new MarkWindow(machine, Mark.instrumentation);
  }

  /** idtentry_enter: an entry from user mode saves nothing, since the register has INIT there. */
  enter(saved: number): EntryState {
    this.#machine.mark(Mark.entry, 1);
    const state = this.#newState();
    if ((saved & SAVED_USER) !== 0) return state;
    if (this.#savesBeforeRcu) this.#save(state);
    this.#watch(state);
    if (!this.#savesBeforeRcu) this.#saveInstrumented(state);
    return state;
  }

  /** idtentry_exit */
  exit(regs: Regs, state: EntryState): void {
    if (!regs.userMode) this.#restoreWhereChosen(state);
    this.#machine.mark(Mark.restored, 1);
    // The idle loop looks for itself whether it must reschedule.
    if (!state.exitRcu) this.#condResched(regs);
    this.#unwatch(state);
  }

  /**
   * The exit of xen_pv_evtchn_do_upcall from a preemptible hypercall, through idtentry_exit_cond_resched (D-14).
   *
   * Where the restore stands (in the upcall itself, or in cond_resched as in every exit) makes no difference;
   * that it is there does.
   */
  exitUpcall(regs: Regs, state: EntryState): void {
    if (this.#upcallRestores) this.#restoreWhereChosen(state);
    this.#machine.mark(Mark.restored, 1);
    this.#condResched(regs);
  }

  /** nmi_enter, idtentry_enter_nmi: never reschedules. */
  nmiEnter(vector: number): EntryState {
    this.#machine.mark(Mark.entry, 1);
    this.#preempt.count.add(NMI_OFFSET + HARDIRQ_OFFSET);
    const state = this.#newState();
    const covered = this.#covers(vector);
    if (covered && this.#savesBeforeRcu) this.#save(state);
    this.#watch(state);
    if (covered && !this.#savesBeforeRcu) this.#saveInstrumented(state);
    return state;
  }

  /** nmi_exit, idtentry_exit_nmi */
  nmiExit(vector: number, state: EntryState): void {
    if (this.#covers(vector)) this.#restoreWhereChosen(state);
    this.#machine.mark(Mark.restored, 1);
    this.#unwatch(state);
    this.#preempt.count.add(-NMI_OFFSET - HARDIRQ_OFFSET);
  }

  /** The entry sequence is over: what follows is the handler's own code. */
  beginBody(vector: number): void {
    this.#machine.mark(Mark.entry, 0);
    this.#instrumentation.begin();
    this.#machine.mark(Mark.handlerBody, 1, vector);
  }

  /** The handler's own code is over; the exit sequence lasts until IRET. */
  endBody(): void {
    this.#instrumentation.end();
    this.#machine.mark(Mark.entry, 1);
  }

  #newState(): EntryState {
    return { words: new Array<number>(this.#slots.entryWords).fill(0), exitRcu: false };
  }

  /** Only the idle task is interrupted where RCU does not watch. */
  #watch(state: EntryState): void {
    if (this.#tasks.getCurrent() >= this.#machine.cpus.length) return;
    this.#rcu.entryEnter();
    state.exitRcu = true;
  }

  #unwatch(state: EntryState): void {
    if (state.exitRcu) this.#rcu.entryExit();
  }

  #save(state: EntryState): void {
    const { entrySave } = this.#slots;
    if (entrySave.length > 0) this.#machine.mark(Mark.savesState, 1, 0);
    const passed = this.#pass(state);
    for (const save of entrySave) save(passed);
  }

  #saveInstrumented(state: EntryState): void {
    this.#instrumentation.begin();
    this.#save(state);
    this.#instrumentation.end();
  }

  #restore(state: EntryState): void {
    const { entryRestore } = this.#slots;
    if (entryRestore.length > 0) this.#machine.mark(Mark.savesState, 1, 1);
    for (let i = entryRestore.length - 1; i >= 0; i--) entryRestore[i]?.(state);
  }

  #restoreWhereChosen(state: EntryState): void {
    if (this.#savesBeforeRcu) {
      this.#restore(state);
      return;
    }
    this.#instrumentation.begin();
    this.#restore(state);
    this.#instrumentation.end();
  }

  /** idtentry_exit_cond_resched */
  #condResched(regs: Regs): void {
    if (regs.interruptFlag === 0) return;
    if (this.#preempt.count.read() !== 0) return;
    if (this.#preempt.needResched.read() === 0) return;
    this.#instrumentation.begin();
    this.#sched.preemptScheduleIrq();
    this.#instrumentation.end();
  }
}
