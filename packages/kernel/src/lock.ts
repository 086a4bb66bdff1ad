// SPDX-License-Identifier: MIT
// Mutexes, spinlocks and SRCU. kernel/locking/, kernel/rcu/srcutree.c

import type { Column, FieldDefinition, Machine } from '@pkslab/x86-cpu';
import type { CpuStates } from './cpu-state.ts';
import type { Misuse } from './misuse.ts';
import type { Preempt } from './preempt.ts';
import type { Scheduler } from './sched.ts';
import type { Tasks } from './task.ts';

/**
 * Declares the cell of a lock: 0 while free, else its holder plus 1: a mutex's task, a spinlock's CPU.
 *
 * Use it where a module declares its cells itself; `kernel.mutex(name)` and `kernel.spinLock(name)` do it for
 * one lock. One definition is one lock of a kernel.
 */
export function defineLock(name: string): FieldDefinition {
  return { name, type: 'u16', initial: 0, per: 'global' };
}

/**
 * DEFINE_MUTEX: sleeps while another task holds it.
 *
 * Use it where the holder may sleep; in atomic context a contended `lock` is `BUG: scheduling while atomic`.
 * It is not recursive: a task that locks it twice waits for ever, which ends in a {@link Deadlock}. Where misuse is
 * checked (`misuseChecks`) a WARN says so before that, and an unlock by a task that does not hold it is a WARN and
 * changes nothing; 5.8 gives the lock free whoever holds it.
 *
 * @example
 * const kernel = boot();
 * const lock = kernel.mutex('pks_lock');
 * kernel.call(() => lock.lock());
 * kernel.call(() => lock.unlock());
 */
export class Mutex {
  readonly #owner: Column;
  readonly #tasks: Tasks;
  readonly #sched: Scheduler;
  readonly #misuse: Misuse | null;

  constructor(
    machine: Machine,
    tasks: Tasks,
    sched: Scheduler,
    field: FieldDefinition,
    misuse: Misuse,
  ) {
    this.#owner = machine.column(field);
    this.#tasks = tasks;
    this.#sched = sched;
    this.#misuse = misuse.checks ? misuse : null;
  }

  /**
   * mutex_lock: may sleep.
   *
   * @throws {Deadlock} where nobody is left who could unlock it.
   */
  lock(): void {
    const me = this.#tasks.current + 1;
    for (;;) {
      const owner = this.#owner.compareExchange(0, 0, me);
      if (owner === 0) return;
      if (owner === me) this.#misuse?.mutexRecursion(this.#owner.field.name);
      this.#sched.sleepUntil(this.#owner, 0, 0);
    }
  }

  /** mutex_unlock: the waiters become runnable; which of them gets it is the scheduler's choice. */
  unlock(): void {
    // For its holder the owner does not change.
    if (this.#misuse !== null && this.#owner.getLocal(0) !== this.#tasks.current + 1) {
      this.#misuse.mutexNotOwned(this.#owner.field.name);
    } else this.#owner.set(0, 0);
  }
}

/**
 * DEFINE_SPINLOCK: waits for the holder on another CPU; preemption is off while it is held.
 *
 * Use it for short sections that never sleep. Interrupts stay on, as with `spin_lock`: a handler that takes a
 * lock that its CPU holds ends in a {@link Deadlock}. An unlock on a CPU that does not hold it is a WARN and changes
 * nothing where misuse is checked; 5.8 gives the lock free and takes the preempt count below what it was.
 *
 * @example
 * const kernel = boot();
 * const lock = kernel.spinLock('test_lock');
 * kernel.call(() => lock.lock());
 * kernel.call(() => kernel.preempt.inAtomic); // => true
 * kernel.call(() => lock.unlock());
 */
export class SpinLock {
  readonly #owner: Column;
  readonly #preempt: Preempt;
  readonly #cpus: CpuStates;
  readonly #misuse: Misuse | null;

  constructor(
    machine: Machine,
    preempt: Preempt,
    cpus: CpuStates,
    field: FieldDefinition,
    misuse: Misuse,
  ) {
    this.#owner = machine.column(field);
    this.#preempt = preempt;
    this.#cpus = cpus;
    this.#misuse = misuse.checks ? misuse : null;
  }

  /**
   * spin_lock
   *
   * @throws {Deadlock} where the holder can never go on.
   */
  lock(): void {
    this.#preempt.disable();
    this.#owner.lock(0, this.#cpus.own + 1);
  }

  /** spin_unlock */
  unlock(): void {
    if (this.#misuse !== null && !this.#isHeldHere(this.#misuse)) return;
    this.#owner.set(0, 0);
    this.#preempt.enable();
  }

  /** Whether the executing CPU holds it; a WARN says what is wrong. For its holder the owner does not change. */
  #isHeldHere(misuse: Misuse): boolean {
    const owner = this.#owner.getLocal(0);
    const held = owner === this.#cpus.own + 1;
    const { name } = this.#owner.field;
    if (owner === 0) misuse.spinLockNotLocked(name);
    else if (!held) misuse.spinLockWrongCpu(name);
    return held;
  }
}

/**
 * DEFINE_SRCU: readers may sleep; a writer waits until those that it found are gone.
 *
 * Use it where readers must not be held up and what they read goes away rarely, as `dax_read_lock` does.
 *
 * @example
 * const kernel = boot();
 * const srcu = kernel.srcu('dax_srcu');
 * kernel.call(() => srcu.readUnlock(srcu.readLock()));
 * kernel.call(() => srcu.synchronize());
 */
export class Srcu {
  readonly #readers: Column;
  readonly #index: Column;
  readonly #sched: Scheduler;
  /** srcu_gp_mutex: a writer's two flips are not mixed with another's. */
  readonly #gracePeriod: Mutex;

  constructor(machine: Machine, sched: Scheduler, name: string, gracePeriod: Mutex) {
    this.#gracePeriod = gracePeriod;
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

  /** srcu_read_unlock, with what the lock returned. */
  readUnlock(index: number): void {
    this.#readers.add(index, -1);
  }

  /** synchronize_srcu: both halves are waited for, since a reader may have read the index before a flip. */
  synchronize(): void {
    this.#gracePeriod.lock();
    for (let flip = 0; flip < 2; flip++) {
      const old = this.#index.get(0);
      this.#index.set(0, old ^ 1);
      while (this.#readers.get(old) !== 0) this.#sched.sleepUntil(this.#readers, old, 0);
    }
    this.#gracePeriod.unlock();
  }
}
