// SPDX-License-Identifier: MIT
// Mutexes, spinlocks and SRCU. kernel/locking/, kernel/rcu/srcutree.c

import type { Column, FieldDefinition, Machine } from '@pkslab/x86-cpu';
import type { Preempt } from './preempt.ts';
import type { Scheduler } from './sched.ts';
import type { Tasks } from './task.ts';

/** Declares the cell of a lock: 0 while free, else its holder plus 1. */
export function defineLock(name: string): FieldDefinition {
  return { name, type: 'u16', initial: 0, per: 'global' };
}

/** DEFINE_MUTEX: sleeps while another task holds it. */
export class Mutex {
  readonly #owner: Column;
  readonly #tasks: Tasks;
  readonly #sched: Scheduler;

  constructor(machine: Machine, tasks: Tasks, sched: Scheduler, field: FieldDefinition) {
    this.#owner = machine.column(field);
    this.#tasks = tasks;
    this.#sched = sched;
  }

  lock(): void {
    const me = this.#tasks.current + 1;
    while (this.#owner.compareExchange(0, 0, me) !== 0) this.#sched.sleepUntil(this.#owner, 0, 0);
  }

  unlock(): void {
    this.#owner.set(0, 0);
  }
}

/** DEFINE_SPINLOCK: waits for the holder on another CPU; preemption is off while it is held. */
export class SpinLock {
  readonly #owner: Column;
  readonly #preempt: Preempt;

  constructor(machine: Machine, preempt: Preempt, field: FieldDefinition) {
    this.#owner = machine.column(field);
    this.#preempt = preempt;
  }

  lock(): void {
    this.#preempt.disable();
    this.#owner.lock(0, 1);
  }

  unlock(): void {
    this.#owner.set(0, 0);
    this.#preempt.enable();
  }
}

/** DEFINE_SRCU: readers may sleep; a writer waits until those that it found are gone. */
export class Srcu {
  readonly #readers: Column;
  readonly #index: Column;
  readonly #sched: Scheduler;

  constructor(machine: Machine, sched: Scheduler, name: string) {
    this.#readers = machine.column({
      name: `${name}.readers`,
      type: 'i32',
      initial: 0,
      per: 'object',
      count: 2,
    });
    this.#index = machine.column({ name: `${name}.index`, type: 'u8', initial: 0, per: 'global' });
    this.#sched = sched;
  }

  /** srcu_read_lock: returns the index for the unlock. */
  readLock(): number {
    const index = this.#index.get(0);
    this.#readers.add(index, 1);
    return index;
  }

  readUnlock(index: number): void {
    this.#readers.add(index, -1);
  }

  /** synchronize_srcu: both halves are waited for, since a reader may have read the index before a flip. */
  synchronize(): void {
    for (let flip = 0; flip < 2; flip++) {
      const old = this.#index.get(0);
      this.#index.set(0, old ^ 1);
      while (this.#readers.get(old) !== 0) this.#sched.sleepUntil(this.#readers, old, 0);
    }
  }
}
