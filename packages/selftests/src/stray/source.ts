// SPDX-License-Identifier: MIT
// Decides at every operation boundary whether the buggy driver strikes now, and by which context.

import {
  type EventSource,
  HARDIRQ_OFFSET,
  type Kernel,
  NMI_OFFSET,
  RESCHEDULE_VECTOR,
  type Runner,
} from '@pkslab/kernel';
import { EXTABLE, KIND_MASK, Op } from '@pkslab/x86-cpu';
import type { Prng } from '../prng.ts';
import type { RandomAim } from './aim.ts';
import { type StrayCard, StrayDeck } from './deck.ts';
import { STRAY_VECTOR, type StrayDriver } from './driver.ts';
import type { StrayContext } from './kinds.ts';
import type { StrayLedger } from './ledger.ts';

/** Boundaries after which a card that nothing suits is put aside. */
const PATIENCE = 50_000;
/** Boundaries of the victim after which threads that were woken get on. */
const NUDGE_EVERY = 24;
/** Refusals of one store after which its handler is not believed any more: it says each time that the store may go on. */
const STRAY_TRIES_MAX = 16;
/** Events on top of each other, at most. */
const DEPTH_MAX = 2;
const NMI_BITS = 15 * NMI_OFFSET;
const HARDIRQ_BITS = 15 * HARDIRQ_OFFSET;

/** Operations that touch device memory: what a window is for, where there are no windows. */
const COPIES: ReadonlySet<number> = new Set([Op.copy, Op.copyIn, Op.copyOut, Op.fill, Op.clwb]);

export interface StraySourceParts {
  readonly kernel: Kernel;
  readonly driver: StrayDriver;
  readonly ledger: StrayLedger;
  /** Stores of the task that holds the window open. */
  readonly canaryAim: RandomAim;
  readonly random: Prng;
  /** The device: its address, physical address and size; its key, 0 where it is not protected. */
  readonly device: {
    readonly address: number;
    readonly physical: number;
    readonly size: number;
    readonly pkey: number;
  };
}

/** The victim, the task that calls from the host, when it last passed a boundary in process context. */
interface Victim {
  cpu: number;
  open: boolean;
}

export class StraySource implements EventSource {
  /** Strikes allowed so far; the caller raises it as the run goes on. */
  target = 0;
  readonly deck: StrayDeck;
  readonly #parts: StraySourceParts;
  readonly #random: Prng;
  readonly #victim: Victim = { cpu: 0, open: false };
  #card: StrayCard;
  #struck = 0;
  #waited = 0;
  #sameTask = 0;
  #passed = 0;
  /** Events of ours that are being handled on the host's stack now. */
  #depth = 0;
  /** At each depth, the store that was tried last, and how often. */
  readonly #tried: { address: number; cpu: number; tries: number }[] = [];
  #stuck = 0;

  constructor(parts: StraySourceParts) {
    this.#parts = parts;
    this.#random = parts.random;
    this.deck = new StrayDeck(parts.random);
    this.#card = this.deck.next();
  }

  /** Strikes so far: each is one stray store, executed or on its way. */
  get struck(): number {
    return this.#struck;
  }

  /** Stores that were given up, for the fault handler returned to them again and again. */
  get stuck(): number {
    return this.#stuck;
  }

  boundary(runner: Runner, kind: number, a: number): void {
    const { machine, tasks } = this.#parts.kernel;
    const cpu = machine.cpu.index;
    const inVictim = this.#depth === 0 && tasks.currentTask.values[cpu] === runner.hostTask;
    if (inVictim) {
      this.#victim.cpu = cpu;
      this.#victim.open = this.#isOpen(kind, cpu);
    }
    if (this.#struck < this.target && this.#suits(runner, inVictim, cpu)) this.#strike(runner);
    if (inVictim && ++this.#passed % NUDGE_EVERY === 0) this.#nudge(runner);
    // Only here is the store certain to be executed next: an event above may have left this stack.
    if ((kind & KIND_MASK) !== Op.store32 || (kind & EXTABLE) === 0) return;
    const tries = this.#triesOf(a, cpu);
    if (tries === 1) this.#noteStore(a, cpu);
    if (tries <= STRAY_TRIES_MAX) return;
    this.#stuck++;
    this.#tried.length = this.#depth;
    runner.giveUp();
  }

  /** A store that was refused and is tried again is the same one: no two that follow each other have one address. */
  #triesOf(address: number, cpu: number): number {
    const last = this.#tried[this.#depth];
    if (last?.address === address && last.cpu === cpu) return ++last.tries;
    this.#tried[this.#depth] = { address, cpu, tries: 1 };
    return 1;
  }

  #isOpen(kind: number, cpu: number): boolean {
    const { device, kernel } = this.#parts;
    if (device.pkey === 0) return COPIES.has(kind & KIND_MASK);
    const pkrs = kernel.machine.registers.pkrs.values[cpu] as number;
    return ((pkrs >>> (device.pkey * 2)) & 0b11) === 0;
  }

  /** Whether the card at hand could be played at this boundary, and its gap is over. */
  #suits(runner: Runner, inVictim: boolean, cpu: number): boolean {
    const card = this.#card;
    const open = inVictim && this.#victim.open;
    if ((card.whileOpen && !open) || !this.#possible(card.context, runner, inVictim, cpu)) {
      if (++this.#waited > PATIENCE) this.#deal();
      return false;
    }
    return card.gap-- <= 0;
  }

  #possible(context: StrayContext, runner: Runner, inVictim: boolean, cpu: number): boolean {
    const { driver, kernel } = this.#parts;
    const count = kernel.preempt.count.column.values[cpu] as number;
    switch (context) {
      case 'interrupt':
        return this.#depth < DEPTH_MAX && runner.interruptible;
      case 'nmi':
        return this.#depth < DEPTH_MAX && runner.nmiPossible;
      case 'otherTask':
        return inVictim && runner.interruptible && count === 0 && driver.wake.values[0] === 0;
      case 'otherCpu':
        return inVictim && driver.wake.values[1] === 0;
      default:
        return inVictim && (count & (NMI_BITS | HARDIRQ_BITS)) === 0;
    }
  }

  #deal(): void {
    this.#card = this.deck.next();
    this.#waited = 0;
  }

  #strike(runner: Runner): void {
    const { context } = this.#card;
    this.#struck++;
    this.#deal();
    if (context === 'sameTask') {
      this.#storeInWindow();
      return;
    }
    this.#depth++;
    try {
      this.#deliver(context, runner);
    } finally {
      this.#depth--;
    }
  }

  /** Lets a thread go on that was woken and has not stored yet, or stopped in the middle of it. */
  #nudge(runner: Runner): void {
    const { wake } = this.#parts.driver;
    this.#depth++;
    try {
      if (wake.values[1] === 1) runner.runOther(1 - this.#victim.cpu, 1 + this.#random.below(60));
      if (wake.values[0] === 1) runner.interrupt(RESCHEDULE_VECTOR);
    } finally {
      this.#depth--;
    }
  }

  #deliver(context: StrayContext, runner: Runner): void {
    const { driver } = this.#parts;
    if (context === 'interrupt') runner.interrupt(STRAY_VECTOR);
    else if (context === 'nmi') runner.nmi();
    else if (context === 'otherTask') {
      driver.wake.poke(0, 1);
      runner.interrupt(RESCHEDULE_VECTOR);
    } else {
      driver.wake.poke(1, 1);
      // A turn that is too short leaves the thread in the middle of its store.
      runner.runOther(1 - this.#victim.cpu, 20 + this.#random.below(180));
    }
  }

  /** An instruction of the victim's own: it runs with the victim's rights, whatever they are. */
  #storeInWindow(): void {
    const { kernel, canaryAim, ledger, device } = this.#parts;
    const n = this.#sameTask++;
    const address = canaryAim.address(n);
    const physical = address - device.address + device.physical;
    ledger.attempt(physical, 'sameTask', this.#victim.open);
    kernel.machine.execute(Op.store32 | EXTABLE, address, 0, canaryAim.value(n), 0);
  }

  #noteStore(address: number, cpu: number): void {
    const { device, ledger } = this.#parts;
    const offset = address - device.address;
    if (offset < 0 || offset >= device.size) return;
    const context = this.#contextOf(cpu);
    const near = context === 'otherCpu' || cpu === this.#victim.cpu;
    ledger.attempt(device.physical + offset, context, near && this.#victim.open);
  }

  #contextOf(cpu: number): StrayContext {
    const count = this.#parts.kernel.preempt.count.column.values[cpu] as number;
    if ((count & NMI_BITS) !== 0) return 'nmi';
    if ((count & HARDIRQ_BITS) !== 0) return 'interrupt';
    return cpu === this.#victim.cpu ? 'otherTask' : 'otherCpu';
  }
}
