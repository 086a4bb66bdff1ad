// SPDX-License-Identifier: MIT
// Calls in the wrong place or order: what 5.8 did, and what reference says.
import { describe, expect, it } from 'vitest';
import { atBoundary } from '../../../scripts/testing/boundaries.ts';
import {
  Deadlock,
  type Kernel,
  type RevisionName,
  type Runner,
  type SpinLock,
  TaskKilled,
} from '../src/index.ts';
import { booted, reported, WILD } from './support.ts';

const posted: readonly RevisionName[] = ['rfc-v2', 'rfc-v3', 'v7', 'v10'];

describe('an unlock of a mutex that the caller does not hold', () => {
  it.each(posted)('frees it in %s, whoever holds it, and says nothing', (revision) => {
    const { kernel } = booted({ revision });
    const mutex = kernel.mutex('test_mutex');
    kernel.call(() => kernel.spawn('holder', () => mutex.lock()));
    kernel.run();
    kernel.call(() => mutex.unlock());
    kernel.call(() => mutex.lock());
    expect(reported(kernel)).toEqual([]);
  });

  it('is a WARN in reference, and its holder keeps it', () => {
    const { kernel, notes } = booted();
    const mutex = kernel.mutex('test_mutex');
    function strayUnlock(): void {
      mutex.unlock();
    }
    kernel.call(strayUnlock);
    const why = 'DEBUG_LOCKS_WARN_ON(__owner_task(lock->owner) != current)';
    expect(reported(kernel)).toEqual([
      '------------[ cut here ]------------',
      `${why}: host/1 unlocks test_mutex`,
      'WARNING: CPU: 0 PID: 1 at mutex_unlock',
      'CPU: 0 PID: 1 Comm: host',
      'Call Trace:',
      ' mutex_unlock',
      ' stray_unlock',
      '---[ end trace ]---',
    ]);
    kernel.call(() => {
      kernel.spawn('holder', () => {
        mutex.lock();
        kernel.sched.schedule();
        notes.add(1);
        mutex.unlock();
      });
      kernel.spawn('other', () => {
        mutex.unlock();
        mutex.lock();
        notes.add(2);
      });
    });
    kernel.run();
    expect(notes.all).toEqual([1, 2]);
    expect(kernel.dmesg).toContain(`${why}: other/3 unlocks test_mutex`);
  });
});

describe('an unlock of a spinlock that is free', () => {
  it.each(posted)('takes the preempt count below 0 in %s', (revision) => {
    const { kernel } = booted({ revision });
    kernel.call(() => kernel.spinLock('test_lock').unlock());
    expect(kernel.preempt.count.column.values[0]).toBe(0xffff_ffff);
    expect(reported(kernel)).toEqual([]);
  });

  it('is a WARN in reference, and the count stays', () => {
    const { kernel } = booted();
    const lock = kernel.spinLock('test_lock');
    kernel.call(function strayUnlock() {
      lock.unlock();
    });
    expect(reported(kernel).slice(1)).toEqual([
      'BUG: spinlock already unlocked on CPU#0, host/1: test_lock',
      'WARNING: CPU: 0 PID: 1 at _raw_spin_unlock',
      'CPU: 0 PID: 1 Comm: host',
      'Call Trace:',
      ' _raw_spin_unlock',
      ' stray_unlock',
      '---[ end trace ]---',
    ]);
    expect(kernel.preempt.count.column.values[0]).toBe(0);
    kernel.call(() => {
      lock.lock();
      lock.unlock();
    });
    expect(kernel.preempt.count.column.values[0]).toBe(0);
  });
});

describe('an unlock of a spinlock that another CPU holds', () => {
  const stray = (revision: RevisionName): { kernel: Kernel; lock: SpinLock } => {
    const { kernel } = booted({ revision, cpus: 2 });
    const lock = kernel.spinLock('test_lock');
    const take = kernel.smp.register(() => lock.lock());
    kernel.call(() => kernel.smp.call(1, take));
    kernel.call(() => lock.unlock());
    return { kernel, lock };
  };

  it.each(posted)('frees it in %s, and takes the preempt count below 0', (revision) => {
    const { kernel, lock } = stray(revision);
    expect(kernel.preempt.count.column.values[0]).toBe(0xffff_ffff);
    kernel.call(() => lock.lock());
    expect(reported(kernel)).toEqual([]);
  });

  it('is a WARN in reference: its holder keeps it, and the count stays', () => {
    const { kernel, lock } = stray('reference');
    expect(reported(kernel)[1]).toBe('BUG: spinlock wrong CPU on CPU#0, host/2: test_lock');
    expect(kernel.preempt.count.column.values[0]).toBe(0);
    expect(() => kernel.call(() => lock.lock())).toThrow(Deadlock);
  });

  it('is none by a task that has moved since its last section', () => {
    const { kernel, notes } = booted({ cpus: 2 });
    const lock = kernel.spinLock('test_lock');
    kernel.call(() => {
      kernel.spawn('mover', () => {
        lock.lock();
        lock.unlock();
        kernel.sched.moveTo(kernel.tasks.current, 1 - kernel.machine.cpu.index);
        kernel.sched.schedule();
        lock.lock();
        lock.unlock();
        kernel.sched.schedule();
        notes.add(kernel.preempt.count.read());
      });
    });
    kernel.run();
    expect(notes.all).toEqual([0]);
    expect(reported(kernel)).toEqual([]);
  });
});

describe('a mutex locked twice by one task', () => {
  const twice = (revision: RevisionName): readonly string[] => {
    const { kernel } = booted({ revision });
    const mutex = kernel.mutex('test_mutex');
    const recurse = (): void => {
      mutex.lock();
      mutex.lock();
    };
    const error = new Deadlock('host waits for test_mutex, which nobody can change');
    expect(() => kernel.call(recurse)).toThrow(error);
    return reported(kernel);
  };

  it('waits for ever, which is reported; reference warns before that', () => {
    for (const revision of posted) expect(twice(revision)).toEqual([]);
    const log = twice('reference');
    expect(log[1]).toBe(
      'possible recursive locking detected: host/1 is trying to acquire test_mutex, which it holds',
    );
    expect(log).toContain(' mutex_lock');
    expect(log).toContain(' recurse');
  });
});

describe('schedule() with interrupts off', () => {
  const interruptFlagAfter = (revision: RevisionName): { flag: number; log: readonly string[] } => {
    const { kernel, notes } = booted({ revision });
    kernel.call(() => kernel.spawn('other', () => notes.add(1)));
    const flag = kernel.call(function sleepyCall() {
      kernel.machine.cli();
      kernel.sched.schedule();
      const now = kernel.machine.registers.interruptFlag.values[0] as number;
      kernel.machine.sti();
      return now;
    });
    expect(notes.all).toEqual([1]);
    return { flag, log: reported(kernel) };
  };

  it.each(posted)('turns them on in %s', (revision) => {
    expect(interruptFlagAfter(revision)).toEqual({ flag: 1, log: [] });
  });

  it('is a WARN in reference, and they stay off', () => {
    const { flag, log } = interruptFlagAfter('reference');
    expect(flag).toBe(0);
    expect(log.slice(1)).toEqual([
      'schedule() with interrupts off: host/1',
      'WARNING: CPU: 0 PID: 1 at schedule',
      'CPU: 0 PID: 1 Comm: host',
      'Call Trace:',
      ' schedule',
      ' sleepy_call',
      '---[ end trace ]---',
    ]);
  });
});

describe('a task that exits with preemption off', () => {
  it.each([...posted, 'reference'] as const)(
    'is noted, and its CPU goes on with 0, in %s',
    (revision) => {
      const { kernel, notes } = booted({ revision });
      kernel.call(() => {
        kernel.spawn('leaver', () => kernel.preempt.disable());
        kernel.spawn('next', () => notes.add(kernel.preempt.count.read()));
      });
      kernel.run();
      expect(reported(kernel)).toEqual(['note: leaver[2] exited with preempt_count 1']);
      expect(notes.all).toEqual([0]);
    },
  );
});

describe('panic', () => {
  it('on an oops in an interrupt comes before panic_on_oops can say its own', () => {
    const { kernel } = booted({ policy: { panicOnOops: true } });
    kernel.entry.requestIrq(0x20, () => kernel.machine.store32(WILD, 1));
    kernel.runner.attach(atBoundary<Runner>(1, (runner) => runner.interrupt(0x20)));
    expect(() => kernel.call(() => kernel.machine.sti())).toThrow('Fatal exception in interrupt');
  });

  it('on an oops with a spinlock held is for panic_on_oops alone: the task dies, the lock stays', () => {
    const { kernel } = booted();
    const lock = kernel.spinLock('test_lock');
    const bad = (): void => {
      lock.lock();
      kernel.machine.store32(WILD, 1);
    };
    expect(() => kernel.call(bad)).toThrow(TaskKilled);
    expect(kernel.dmesg.at(-1)).toBe('note: host[1] exited with preempt_count 1');
    expect(() => kernel.call(() => lock.lock())).toThrow(Deadlock);
  });

  it('on a WARN comes after its report, with the refused call undone', () => {
    const { kernel } = booted({ policy: { panicOnWarn: true } });
    expect(() => kernel.call(() => kernel.mutex('test_mutex').unlock())).toThrow(
      'panic_on_warn set',
    );
    expect(kernel.dmesg.slice(-2)).toEqual([
      '---[ end trace ]---',
      'Kernel panic - not syncing: panic_on_warn set ...',
    ]);
  });
});
