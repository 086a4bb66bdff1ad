// SPDX-License-Identifier: MIT
// Checks on locks that any scenario can use: the order in which they are taken, and where one may sleep.

import type { Kernel } from '@pkslab/kernel';
import { type Column, Op } from '@pkslab/x86-cpu';
import { ExploreError } from './explore-error.ts';
import { type Invariant, invariant, type View } from './invariant.ts';

/** Locks are bits of a mask. */
const MOST_LOCKS = 32;

/**
 * Lock order: no lock is taken while one is held that is taken, anywhere else, the other way round.
 *
 * Use it where a deadlock needs a schedule beyond the budget: it is found from two orders that were each seen in some
 * schedule, as lockdep does. The trace shows the second of them. Where a schedule does deadlock, the search says
 * so by itself.
 *
 * @param names of the locks, as given to `kernel.mutex` and `kernel.spinLock`; at most 32
 * @throws {ExploreError} for a name that no lock of the kernel has.
 * @example
 * const kernel = boot();
 * const a = kernel.mutex('a');
 * const b = kernel.spinLock('b');
 * const check = lockOrder(kernel, ['a', 'b']);
 */
export function lockOrder(kernel: Kernel, names: readonly string[]): Invariant {
  const locks = locksOf(kernel, names);
  const held = kernel.machine.column({
    name: `explore.held ${names.join(' ')}`,
    type: 'u32',
    initial: 0,
    per: 'object',
    count: kernel.machine.tasks,
  });
  // Of each lock those that were taken while it was held, in any schedule so far.
  const after = names.map(() => 0);
  const reaches = (from: number, to: number, seen: number): boolean => {
    if (from === to) return true;
    for (let next = 0; next < names.length; next++) {
      const bit = 1 << next;
      if (((after[from] as number) & bit & ~seen) === 0) continue;
      if (reaches(next, to, seen | bit)) return true;
    }
    return false;
  };
  const take = (lock: number, mask: number): string | null => {
    for (let other = 0; other < names.length; other++) {
      if ((mask & (1 << other)) === 0) continue;
      if (reaches(lock, other, 0)) {
        return `${names[lock]} is taken while ${names[other]} is held, and elsewhere the other way round`;
      }
      after[other] = (after[other] as number) | (1 << lock);
    }
    return null;
  };
  return invariant({
    id: 'lock-order',
    text: `${names.join(', ')} are taken in one order`,
    looksAt: [],
    memory: after,
    operation({ task }, op, a, b, c, d, result) {
      const lock = locks.findIndex((column) => column.id === a);
      if (lock < 0) return null;
      const mask = held.values[task] as number;
      if (takes(op, d, result)) {
        const wrong = take(lock, mask);
        held.poke(task, (mask | (1 << lock)) >>> 0);
        return wrong;
      }
      if (op === Op.set && b === 0 && c === 0) held.poke(task, (mask & ~(1 << lock)) >>> 0);
      return null;
    },
  });
}

/**
 * Sleeping while atomic: no mutex is taken with preemption off or in a handler, contended or not.
 *
 * Use it for what `might_sleep()` warns of. A task that does go to sleep there is found by the kernel's own
 * `BUG: scheduling while atomic`.
 *
 * @param mutexes names, as given to `kernel.mutex`
 * @throws {ExploreError} for a name that no lock of the kernel has.
 * @example
 * const kernel = boot();
 * const m = kernel.mutex('m');
 * const check = noSleepingWhileAtomic(kernel, ['m']);
 */
export function noSleepingWhileAtomic(kernel: Kernel, mutexes: readonly string[]): Invariant {
  const locks = locksOf(kernel, mutexes);
  const { column: count } = kernel.preempt.count;
  return invariant({
    id: 'atomic',
    text: 'nobody takes a mutex with preemption off or in a handler',
    looksAt: [count],
    operation({ cpu, frame }: View, op, a, _b, _c, d) {
      const lock = locks.findIndex((column) => column.id === a);
      if (lock < 0 || op !== Op.compareExchange || d === 0) return null;
      const value = count.values[cpu] as number;
      if (value === 0) return null;
      return `${mutexes[lock]} is taken in atomic context (${frame}, preempt_count 0x${value.toString(16)})`;
    },
  });
}

/** Whether an operation on a lock's cell takes it. */
function takes(op: number, value: number, old: number): boolean {
  return op === Op.lock || (op === Op.compareExchange && value !== 0 && old === 0);
}

function locksOf(kernel: Kernel, names: readonly string[]): Column[] {
  if (names.length > MOST_LOCKS) throw new ExploreError(`${names.length} locks: at most 32`);
  return names.map((name) => {
    const column = kernel.machine.columns.find(({ field }) => field.name === name);
    if (column !== undefined) return column;
    throw new ExploreError(`no lock is called ${name}: make it before the check`);
  });
}
