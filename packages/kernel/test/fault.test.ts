// SPDX-License-Identifier: MIT
import { FIXED_UP } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { atBoundary } from '../../../scripts/testing/boundaries.ts';
import { type BootOptions, type Kernel, type Runner, TaskKilled } from '../src/index.ts';
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

describe('WARN_ON_ONCE of do_kern_addr_fault', () => {
  const closedPage = (options: BootOptions): { kernel: Kernel; page: number } => {
    const { kernel } = booted(options);
    const { machine } = kernel;
    const page = kernel.call(() => kernel.mm.vmalloc(4096, { key: 2, writable: true }));
    kernel.call(() => {
      machine.writeCr(4, machine.readCr(4) | (1 << 24));
      machine.wrmsr(0x6e1, 0x30);
    });
    return { kernel, page };
  };
  const warnings = (kernel: Kernel): number =>
    reported(kernel).filter((line) => line.startsWith('WARNING')).length;

  it('comes once under rfc-v2, before the exception table and the oops', () => {
    const { kernel, page } = closedPage({ revision: 'rfc-v2' });
    expect(kernel.call(() => kernel.machine.tryLoad32(page))).toBe(FIXED_UP);
    expect(reported(kernel)).toEqual([
      '------------[ cut here ]------------',
      expect.stringMatching(/^WARNING: CPU: 0 PID: 1 at do_kern_addr_fault$/),
      'CPU: 0 PID: 1 Comm: host',
      'Call Trace:',
      ' do_kern_addr_fault',
      ' exc_page_fault',
      '---[ end trace ]---',
    ]);
    expect(() => kernel.call(() => kernel.machine.store32(page, 1))).toThrow(TaskKilled);
    expect(warnings(kernel)).toBe(1);
    expect(kernel.dmesg).toContain('#PF: error_code(0x0023) - protection keys violation');
  });

  it('does not come where a hook handled the fault, nor for other faults', () => {
    const { kernel, page } = closedPage({ revision: 'rfc-v2' });
    kernel.slots.keyFault.push(() => {
      kernel.machine.wrmsr(0x6e1, 0);
      return true;
    });
    kernel.call(() => kernel.machine.load32(page));
    kernel.call(() => kernel.machine.tryLoad32(WILD));
    expect(warnings(kernel)).toBe(0);
  });

  it.each(['rfc-v3', 'v7', 'v10', 'reference'] as const)(
    'is for CPUs without PKS in %s',
    (revision) => {
      const { kernel, page } = closedPage({ revision });
      expect(() => kernel.call(() => kernel.machine.load32(page))).toThrow(TaskKilled);
      expect(warnings(kernel)).toBe(0);
    },
  );
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
