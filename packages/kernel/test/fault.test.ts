// SPDX-License-Identifier: MIT
import { FIXED_UP } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { atBoundary } from '../../../scripts/testing/boundaries.ts';
import { type Runner, TaskKilled } from '../src/index.ts';
import { booted, RAM, reported, WILD } from './support.ts';

describe('an access with an exception-table entry', () => {
  it('is an error return where it is refused, in any context, and prints nothing', () => {
    const { kernel, notes } = booted();
    const tries = (): void => {
      notes.add(Number(kernel.machine.tryStore32(WILD, 1)));
      notes.add(Number(kernel.machine.tryLoad32(WILD) === FIXED_UP));
    };
    kernel.entry.requestIrq(0x20, tries);
    kernel.entry.registerNmi(tries);
    kernel.call(tries);
    kernel.runner.attach(
      atBoundary<Runner>(1, (runner) => {
        runner.interrupt(0x20);
        runner.nmi();
      }),
    );
    kernel.call(() => kernel.machine.store32(RAM, 1));
    kernel.runner.attach(null);
    expect(notes.all).toEqual([1, 1, 1, 1, 1, 1]);
    expect(reported(kernel)).toEqual([]);
  });

  it('goes through where it is allowed', () => {
    const { kernel } = booted();
    expect(kernel.call(() => kernel.machine.tryStore32(RAM, 3))).toBe(false);
    expect(kernel.call(() => kernel.machine.tryLoad32(RAM))).toBe(3);
  });

  it('covers a #GP too', () => {
    const { kernel } = booted();
    expect(() => kernel.call(() => kernel.machine.wrmsr(0x1234, 0))).toThrow(TaskKilled);
  });
});

describe('a key fault', () => {
  it('that a hook calls handled is tried again; one that none does is refused', () => {
    const { kernel, notes } = booted();
    const { machine } = kernel;
    let handle = true;
    kernel.slots.keyFault.push((_regs, errorCode, address) => {
      notes.add(errorCode);
      notes.add(Number(address === page));
      if (handle) machine.wrmsr(0x6e1, 0);
      return handle;
    });
    const page = kernel.call(() => kernel.mm.vmalloc(4096, { key: 2, writable: true }));
    const close = (): void => machine.wrmsr(0x6e1, 0x30);
    kernel.call(() => {
      machine.writeCr(4, machine.readCr(4) | (1 << 24));
      close();
      machine.store32(page, 9);
    });
    expect(notes.all).toEqual([0x23, 1]);
    handle = false;
    kernel.call(close);
    expect(kernel.call(() => machine.tryLoad32(page))).toBe(FIXED_UP);
    expect(notes.all).toEqual([0x23, 1, 0x21, 1]);
  });

  it('hooks are not asked about other faults', () => {
    const { kernel, notes } = booted();
    kernel.slots.keyFault.push(() => {
      notes.add(1);
      return true;
    });
    expect(kernel.call(() => kernel.machine.tryStore32(WILD, 1))).toBe(true);
    expect(notes.all).toEqual([]);
  });
});

describe('an unmapped address in the user half', () => {
  it('is a wild pointer: an oops, or the fixup, and never an endless retry', () => {
    const { kernel } = booted();
    expect(kernel.call(() => kernel.machine.tryStore32(0x7f00_0000_0000, 1))).toBe(true);
    expect(() => kernel.call(() => kernel.machine.store32(0x7f00_0000_0000, 1))).toThrow(
      TaskKilled,
    );
  });
});
