// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { atEveryBoundary } from '../../../scripts/testing/boundaries.ts';
import { RESCHEDULE_VECTOR, type Runner } from '../src/index.ts';
import { booted, RAM } from './support.ts';

const preempt = (runner: Runner): boolean => runner.interrupt(RESCHEDULE_VECTOR);

describe('a mutex', () => {
  it('keeps a read and a write together, wherever its holder is preempted', () => {
    const count = atEveryBoundary<Runner>(preempt, (source) => {
      const { kernel } = booted();
      const mutex = kernel.mutex('test_mutex');
      const increment = (): void => {
        mutex.lock();
        kernel.machine.store32(RAM, kernel.machine.load32(RAM) + 1);
        mutex.unlock();
      };
      kernel.call(() => {
        kernel.spawn('A', increment);
        kernel.spawn('B', increment);
      });
      kernel.runner.attach(source);
      kernel.run();
      kernel.runner.attach(null);
      expect(kernel.call(() => kernel.machine.load32(RAM))).toBe(2);
    });
    expect(count).toBeGreaterThan(20);
  });

  it('is needed for that: without one, some interleaving loses an increment', () => {
    const values = new Set<number>();
    atEveryBoundary<Runner>(preempt, (source) => {
      const { kernel } = booted();
      const increment = (): void => kernel.machine.store32(RAM, kernel.machine.load32(RAM) + 1);
      kernel.call(() => {
        kernel.spawn('A', increment);
        kernel.spawn('B', increment);
      });
      kernel.runner.attach(source);
      kernel.run();
      kernel.runner.attach(null);
      values.add(kernel.call(() => kernel.machine.load32(RAM)));
    });
    expect(values).toEqual(new Set([1, 2]));
  });
});

describe('a spinlock', () => {
  it('makes another CPU wait until it is free', () => {
    const count = atEveryBoundary<Runner>(
      (runner) => runner.runOther(1, 30),
      (source) => {
        const { kernel } = booted({ cpus: 2 });
        const lock = kernel.spinLock('test_lock');
        const increment = (): void => {
          lock.lock();
          kernel.machine.store32(RAM, kernel.machine.load32(RAM) + 1);
          lock.unlock();
        };
        kernel.call(() => kernel.spawn('other', increment));
        kernel.runner.attach(source);
        kernel.call(increment);
        kernel.runner.attach(null);
        kernel.run();
        expect(kernel.call(() => kernel.machine.load32(RAM))).toBe(2);
        expect([...kernel.preempt.count.column.values]).toEqual([0, 0]);
      },
    );
    expect(count).toBeGreaterThan(4);
  });
});

describe('SRCU', () => {
  it('lets a writer go on only after the readers that it found are gone', () => {
    const { kernel, notes } = booted();
    const srcu = kernel.srcu('test_srcu');
    kernel.call(() => {
      kernel.spawn('reader', () => {
        const index = srcu.readLock();
        notes.add(1);
        kernel.sched.schedule();
        kernel.sched.schedule();
        notes.add(2);
        srcu.readUnlock(index);
      });
      kernel.spawn('writer', () => {
        srcu.synchronize();
        notes.add(3);
      });
    });
    kernel.run();
    expect(notes.all).toEqual([1, 2, 3]);
  });

  it('is not held up by readers that come later', () => {
    const { kernel, notes } = booted();
    const srcu = kernel.srcu('test_srcu');
    kernel.call(() => {
      const index = srcu.readLock();
      srcu.readUnlock(index);
      srcu.synchronize();
      notes.add(srcu.readLock());
      notes.add(index);
    });
    expect(notes.all).toEqual([0, 0]);
  });
});
