// SPDX-License-Identifier: MIT
// Softirqs: work that an interrupt leaves for its way out, done with interrupts on. kernel/softirq.c

import { type FieldDefinition, type Machine, PerCpu } from '@pkslab/x86-cpu';
import { INTERRUPT_MASK, type Preempt, SOFTIRQ_OFFSET } from './preempt.ts';

/** __softirq_pending: a bit a softirq. */
const pendingField: FieldDefinition = {
  name: '__softirq_pending',
  type: 'u32',
  initial: 0,
  per: 'cpu',
};

/** Numbers of softirqs, in the order in which they run. include/linux/interrupt.h */
export const SoftirqNumber = {
  hi: 0,
  timer: 1,
  netTx: 2,
  netRx: 3,
  block: 4,
  irqPoll: 5,
  tasklet: 6,
  sched: 7,
  hrtimer: 8,
  rcu: 9,
} as const;

/** How often new work is looked for; what is left then waits for the next interrupt (ksoftirqd is not modelled). */
const MAX_SOFTIRQ_RESTART = 10;

/**
 * The softirqs of a kernel; `kernel.softirq` has them.
 *
 * They run on the way out of an interrupt, with interrupts on and the preempt count's softirq bit set: another
 * interrupt may come, a switch may not.
 *
 * @example
 * const kernel = boot();
 * const address = PAGE_OFFSET + 0x100_0000;
 * kernel.softirq.open(SoftirqNumber.block, () => kernel.machine.store32(address, 7));
 * kernel.entry.requestIrq(0x20, () => kernel.softirq.raise(SoftirqNumber.block));
 * kernel.machine.deliverInterrupt(0x20);
 * kernel.machine.load32(address); // => 7
 */
export class Softirq {
  readonly #machine: Machine;
  readonly #preempt: Preempt;
  readonly #pending: PerCpu;
  readonly #actions: ((() => void) | undefined)[] = [];

  constructor(machine: Machine, preempt: Preempt) {
    this.#machine = machine;
    this.#preempt = preempt;
    this.#pending = new PerCpu(machine.column(pendingField));
  }

  /** open_softirq: installs what a softirq does; at boot. */
  open(number: number, action: () => void): void {
    this.#actions[number] = action;
  }

  /**
   * raise_softirq: it runs when the outermost interrupt ends.
   *
   * Where none is under way Linux wakes ksoftirqd. Here a task that could be switched out does the work on the
   * spot; with preemption or interrupts off it is left for the exit of the next interrupt.
   */
  raise(number: number): void {
    const flag = this.#machine.pushfCli();
    this.#pending.write((this.#pending.read() | (1 << number)) >>> 0);
    if (flag !== 0 && this.#preempt.count.read() === 0) this.#run();
    this.#machine.popfIf(flag);
  }

  /** irq_exit_rcu: with interrupts off, the interrupt's own count already gone. */
  irqExit(): void {
    if (this.#actions.length === 0) return;
    if ((this.#preempt.count.read() & INTERRUPT_MASK) !== 0) return;
    if (this.#pending.read() !== 0) this.#run();
  }

  /** __do_softirq */
  #run(): void {
    this.#preempt.count.add(SOFTIRQ_OFFSET);
    for (let restart = 0; restart < MAX_SOFTIRQ_RESTART; restart++) {
      const pending = this.#pending.read();
      if (pending === 0) break;
      this.#pending.write(0);
      this.#machine.sti();
      for (const [number, action] of this.#actions.entries()) {
        if (((pending >>> number) & 1) !== 0) action?.();
      }
      this.#machine.cli();
    }
    this.#preempt.count.add(-SOFTIRQ_OFFSET);
  }
}
