// SPDX-License-Identifier: MIT
// The questions of RFC V2's cover letter: what protects the count, where is it, must an entry save it?

import { type BootOptions, Deadlock } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { irq, nmi, sectionsHold, tasksHold } from './sections.ts';
import { attach, refused, reported, withDevice } from './support.ts';

const count = (countProtection: string, entryCount = 'saved'): BootOptions => ({
  with: { countProtection, entryCount },
});

describe('is local_irq_save the right protection of the count?', () => {
  it.each(['localIrqSave', 'atomicCounter', 'none'])(
    '%s will do, once entries save and zero the count',
    (protection) => {
      expect(sectionsHold(count(protection), irq)).toBe(true);
      expect(sectionsHold(count(protection), nmi)).toBe(true);
      expect(tasksHold(count(protection))).toBe(true);
    },
  );

  it.each(['localIrqSave', 'atomicCounter', 'none'])(
    '%s will not do while handlers borrow the count of the task',
    (protection) => {
      expect(sectionsHold(count(protection, 'borrowed'), irq)).toBe(false);
      expect(sectionsHold(count(protection, 'borrowed'), nmi)).toBe(false);
    },
  );

  it('interrupts off keep an NMI out no better than nothing does: the entry code does', () => {
    const borrowed = { ...count('localIrqSave', 'borrowed') };
    expect(sectionsHold(borrowed, nmi)).toBe(false);
    expect(sectionsHold({}, nmi)).toBe(true);
  });

  it('spin_lock_irq waits for itself in an NMI with a section of its own', () => {
    expect(() => sectionsHold(count('spinLockIrq'), nmi)).toThrow(Deadlock);
  });

  it('and its unlock turns interrupts on for a caller that had them off', () => {
    const enabledAfter = (options: BootOptions): boolean => {
      const stack = withDevice(options);
      const { machine } = stack.kernel;
      attach(stack);
      return stack.kernel.call(() => {
        const flags = machine.pushfCli();
        stack.access.enable();
        const now = machine.pushfCli();
        stack.access.disable();
        machine.popfIf(flags);
        return now !== 0;
      });
    };
    expect(enabledAfter(count('spinLockIrq'))).toBe(true);
    for (const other of ['localIrqSave', 'atomicCounter', 'none']) {
      expect(enabledAfter(count(other))).toBe(false);
    }
  });
});

describe('a cookie in place of the count (D-05)', () => {
  const COOKIE: BootOptions = { with: { grantCounting: 'cookie' } };

  it('nests for a caller that keeps it', () => {
    const stack = withDevice(COOKIE);
    const { kernel, access } = stack;
    const { address } = attach(stack);
    const seen = kernel.call(() => {
      const outer = access.enable();
      const inner = access.enable();
      access.disable(inner);
      const inOuter = kernel.machine.tryStore32(address, 1);
      access.disable(outer);
      return [inOuter, kernel.machine.tryStore32(address, 2)];
    });
    expect(seen).toEqual([false, true]);
    expect(reported(kernel)).toEqual([]);
  });

  it('does not fit kunmap, which has no place for it: the inner end closes the outer section', () => {
    const stack = withDevice(COOKIE);
    const { kernel, access } = stack;
    const { address } = attach(stack);
    kernel.call(() => {
      access.enable();
      access.enable();
      access.disable();
    });
    expect(refused(stack, address)).toBe(true);
  });
});

describe('a count in each CPU (D-58)', () => {
  it('needs preemption off: without, the next task works with the count of a section that it has not', () => {
    expect(tasksHold({ with: { grantCounting: 'perCpuPreemptOff' } })).toBe(true);
    expect(tasksHold({ with: { grantCounting: 'perCpu' } })).toBe(false);
  });

  it('holds under interrupts and NMIs where entries save it', () => {
    const perCpu = { grantCounting: 'perCpuPreemptOff' };
    expect(sectionsHold({ with: perCpu }, irq)).toBe(true);
    expect(sectionsHold({ with: perCpu }, nmi)).toBe(true);
    expect(sectionsHold({ with: { ...perCpu, entryCount: 'borrowed' } }, irq)).toBe(false);
  });

  it('and so no section may sleep, as copies from user memory do', () => {
    const sleepInSection = (options: BootOptions): readonly string[] => {
      const stack = withDevice(options);
      attach(stack);
      stack.kernel.call(() => {
        stack.access.enable();
        stack.kernel.sched.schedule();
        stack.access.disable();
      });
      return reported(stack.kernel).filter((line) => line.startsWith('BUG'));
    };
    expect(sleepInSection({})).toEqual([]);
    expect(sleepInSection({ with: { grantCounting: 'perCpuPreemptOff' } })[0]).toContain(
      'BUG: scheduling while atomic',
    );
  });
});

describe('is storing the count in the exception frame needed?', () => {
  it('yes: a handler that borrows a count of 1 opens nothing, for the entry has closed the key', () => {
    expect(sectionsHold({ sabotages: ['count-borrowed'] }, irq)).toBe(false);
    expect(sectionsHold({}, irq)).toBe(true);
  });
});
