// SPDX-License-Identifier: MIT
import { type BootOptions, type Kernel, type Runner, TaskKilled } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { atBoundary } from '../../../scripts/testing/boundaries.ts';
import { PFN, RAM_PFN, reported, withDevice } from './support.ts';

/** Task `mapper` hands its address to task `worker`, which stores through it. */
function handOver(options: BootOptions): {
  readonly log: readonly string[];
  readonly value: number;
} {
  const { kernel, kmap } = withDevice(options);
  const { machine } = kernel;
  const shared = machine.column({ name: 'shared', type: 'address', initial: 0, per: 'global' });
  kernel.call(() => {
    kernel.spawn('mapper', () => {
      shared.set(0, kmap.kmap(PFN));
      kernel.sched.schedule();
      kernel.sched.schedule();
      kmap.kunmap(PFN);
    });
    kernel.spawn('worker', () => machine.store32(shared.get(0), 7));
  });
  kernel.run();
  const value = kernel.call(() => {
    const read = machine.load32(kmap.kmap(PFN));
    kmap.kunmap(PFN);
    return read;
  });
  return { log: reported(kernel), value };
}

describe('an address that another task uses (D-11)', () => {
  it('is refused with a WARN that names both tasks under reference', () => {
    const { log, value } = handOver({});
    expect(log).toContain(
      'kmap: address of pfn 0x100000, mapped by mapper (task 2), used by worker (task 3)',
    );
    expect(log).toContain('#PF: error_code(0x0023) - protection keys violation');
    expect(log).toContain('CPU: 0 PID: 3 Comm: worker');
    expect(value).toBe(0);
  });

  it('is an oops that names nobody else under rfc-v2', () => {
    const { log, value } = handOver({ revision: 'rfc-v2', repairs: ['D-01', 'D-08'] });
    expect(log.filter((line) => line.startsWith('kmap:'))).toEqual([]);
    expect(log).toContain('CPU: 0 PID: 3 Comm: worker');
    expect(value).toBe(0);
  });

  it('names both with D-11 repaired on top', () => {
    const { log } = handOver({ revision: 'rfc-v2', repairs: ['D-01', 'D-08', 'D-11'] });
    expect(log.filter((line) => line.startsWith('kmap:'))).toHaveLength(1);
  });
});

describe('what is not a handed-over address', () => {
  it('a stray store by a task to a page that nobody has mapped is an oops without a WARN', () => {
    const { kernel } = withDevice();
    const stray = () =>
      kernel.call(() => kernel.machine.store32(-0x7780_0000_0000 + PFN * 4096, 1));
    expect(stray).toThrow(TaskKilled);
    expect(reported(kernel).join()).not.toContain('kmap:');
  });

  it('a store by a handler that has the page mapped itself is no use of another context', () => {
    const { kernel, kmap } = withDevice();
    const seen = kernel.machine.column({ name: 'seen', type: 'u32', initial: 0, per: 'global' });
    kernel.entry.requestIrq(0x20, () => {
      const address = kmap.kmapAtomic(PFN);
      seen.set(0, kernel.machine.tryStore32(address, 1) ? 1 : 2);
      kmap.kunmapAtomic(address);
    });
    kernel.call(() => kmap.kmap(PFN));
    kernel.runner.attach(atBoundary<Runner>(1, (runner) => runner.interrupt(0x20)));
    kernel.call(() => kernel.machine.load32(kmap.kmap(RAM_PFN)));
    kernel.runner.attach(null);
    expect(seen.values[0]).toBe(2);
    expect(reported(kernel)).toEqual([]);
  });
});

describe('maps that end out of order', () => {
  const used = (kernel: Kernel, pfn: number): string | undefined => {
    const before = kernel.dmesg.length;
    kernel.call(() =>
      kernel.spawn('other', () => {
        kernel.machine.tryStore32(-0x7780_0000_0000 + pfn * 4096, 1);
      }),
    );
    kernel.run();
    return kernel.dmesg.slice(before).find((line) => line.startsWith('kmap:'));
  };

  it('leave the names of those that stay right', () => {
    const { kernel, kmap } = withDevice();
    kernel.call(() => {
      for (let i = 0; i < 3; i++) kmap.kmap(PFN + i);
      kmap.kunmap(PFN);
    });
    expect(used(kernel, PFN)).toBeUndefined();
    expect(used(kernel, PFN + 1)).toContain('mapped by host (task 1), used by other');
    expect(used(kernel, PFN + 2)).toContain('mapped by host (task 1), used by other');
    kernel.call(() => kmap.kunmap(PFN + 2));
    expect(used(kernel, PFN + 2)).toBeUndefined();
    expect(used(kernel, PFN + 1)).toContain('mapped by host');
  });

  it('are reported where the page was never mapped', () => {
    const { kernel, kmap } = withDevice();
    kernel.call(() => {
      kmap.kmap(PFN);
      kmap.kunmap(PFN + 7);
    });
    expect(reported(kernel)).toContain('kmap: kunmap of pfn 0x100007, which is not mapped here');
    expect(used(kernel, PFN)).toBeUndefined();
  });
});

describe('a key fault', () => {
  it('by a handler in the section of the task that it interrupts is refused with a WARN that names both contexts', () => {
    const { kernel, kmap } = withDevice();
    const address = -0x7780_0000_0000 + PFN * 4096;
    const seen = kernel.machine.column({ name: 'seen', type: 'u32', initial: 0, per: 'global' });
    kernel.entry.requestIrq(0x20, () => {
      seen.set(0, kernel.machine.tryStore32(address, 1) ? 1 : 2);
    });
    kernel.call(() => kmap.kmap(PFN));
    kernel.runner.attach(atBoundary<Runner>(1, (runner) => runner.interrupt(0x20)));
    kernel.call(() => kernel.machine.load32(kmap.kmap(RAM_PFN)));
    kernel.runner.attach(null);
    expect(seen.values[0]).toBe(1);
    expect(reported(kernel)).toContain(
      'kmap: address of pfn 0x100000, mapped by host (task 1), used by an interrupt handler over host (task 1)',
    );
  });

  it('an address after its kunmap has no owner any more', () => {
    const { kernel, kmap } = withDevice();
    kernel.call(() =>
      kernel.spawn('mapper', () => {
        kmap.kmap(PFN);
        kmap.kunmap(PFN);
        kernel.sched.schedule();
      }),
    );
    kernel.call(() => {
      kernel.sched.yield();
      kernel.machine.tryStore32(-0x7780_0000_0000 + PFN * 4096, 1);
    });
    expect(reported(kernel)).toEqual([]);
  });

  it('maps deeper than are remembered still open and close', () => {
    const { kernel, kmap } = withDevice();
    const refused = kernel.call(() => {
      for (let i = 0; i < 20; i++) kmap.kmap(PFN + i);
      for (let i = 0; i < 19; i++) kmap.kunmap(PFN + i);
      const inside = kernel.machine.tryStore32(-0x7780_0000_0000 + PFN * 4096, 1);
      kmap.kunmap(PFN + 19);
      return [inside, kernel.machine.tryStore32(-0x7780_0000_0000 + PFN * 4096, 1)];
    });
    expect(refused).toEqual([false, true]);
    expect(reported(kernel)).toEqual([]);
  });
});
