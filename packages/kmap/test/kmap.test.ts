// SPDX-License-Identifier: MIT
import { type BootOptions, PAGE_OFFSET, type Runner, TaskKilled } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { atBoundary } from '../../../scripts/testing/boundaries.ts';
import { PFN, RAM_PFN, reported, withDevice } from './support.ts';

describe('kmap', () => {
  it('gives the address of the page, which can be used until kunmap', () => {
    const { kernel, kmap } = withDevice();
    const { machine } = kernel;
    const [address, inside, after] = kernel.call(() => {
      const mapped = kmap.kmap(PFN + 3);
      machine.store32(mapped, 42);
      const value = machine.load32(mapped);
      kmap.kunmap(PFN + 3);
      return [mapped, value, machine.tryStore32(mapped, 1)];
    });
    expect(address).toBe(PAGE_OFFSET + (PFN + 3) * 4096);
    expect([inside, after]).toEqual([42, true]);
    expect(() => kernel.call(() => machine.store32(address as number, 1))).toThrow(TaskKilled);
    expect(reported(kernel)).toContain('#PF: error_code(0x0023) - protection keys violation');
  });

  it('nests, of the same page and of two', () => {
    const { kernel, kmap } = withDevice();
    const { machine } = kernel;
    const refused = kernel.call(() => {
      const one = kmap.kmap(PFN);
      const two = kmap.kmap(PFN + 1);
      kmap.kmap(PFN);
      const seen: boolean[] = [];
      kmap.kunmap(PFN);
      seen.push(machine.tryStore32(one, 1), machine.tryStore32(two, 1));
      kmap.kunmap(PFN + 1);
      seen.push(machine.tryStore32(one, 1));
      kmap.kunmap(PFN);
      seen.push(machine.tryStore32(one, 1));
      return seen;
    });
    expect(refused).toEqual([false, false, false, true]);
  });

  it('of an ordinary page changes no rights', () => {
    const { kernel, kmap, access } = withDevice();
    const [opened, count] = kernel.call(() => {
      const address = kmap.kmap(RAM_PFN);
      kernel.machine.store32(address, 1);
      const ref = access.ref.get(kernel.tasks.current);
      const other = kernel.machine.tryStore32(PAGE_OFFSET + PFN * 4096, 1);
      kmap.kunmap(RAM_PFN);
      return [other, ref];
    });
    expect([opened, count]).toEqual([true, 0]);
  });
});

describe('kmap_atomic', () => {
  it('keeps preemption and page faults off until kunmap_atomic', () => {
    const { kernel, kmap } = withDevice();
    const state = (): number[] => [
      kernel.preempt.count.read(),
      kernel.tasks.pagefaultDisabled.get(kernel.tasks.current),
    ];
    const seen = kernel.call(() => {
      const address = kmap.kmapAtomic(PFN);
      kernel.machine.store32(address, 1);
      const inside = state();
      kmap.kunmapAtomic(address);
      return [inside, state()];
    });
    expect(seen).toEqual([
      [1, 1],
      [0, 0],
    ]);
  });
});

describe('unbalanced use', () => {
  it('a surplus kunmap is a WARN with the caller under reference, and harms no later map', () => {
    const { kernel, kmap } = withDevice();
    function carelessDriver(): void {
      kmap.kunmap(PFN);
    }
    kernel.call(carelessDriver);
    expect(reported(kernel).slice(1, 8)).toEqual([
      'memremap: dev_access_disable without an enable',
      'WARNING: CPU: 0 PID: 1 at dev_access_disable',
      'CPU: 0 PID: 1 Comm: host',
      'Call Trace:',
      ' dev_access_disable',
      ' disable_access',
      ' kunmap',
    ]);
    expect(reported(kernel)).toContain(' careless_driver');
    const refused = kernel.call(() => {
      const inside = kernel.machine.tryStore32(kmap.kmap(PFN), 1);
      kmap.kunmap(PFN);
      return [inside, kernel.machine.tryStore32(PAGE_OFFSET + PFN * 4096, 1)];
    });
    expect(refused).toEqual([false, true]);
  });

  it('a kmap without kunmap is a WARN when its task ends', () => {
    const { kernel, kmap } = withDevice();
    kernel.call(() => kernel.spawn('leaky', () => kmap.kmap(PFN)));
    kernel.run();
    expect(reported(kernel)).toContain('memremap: dev_page_access_ref is 1 at exit');
  });
});

describe('kmap in a handler', () => {
  const inHandler = (options: BootOptions): readonly string[] => {
    const { kernel, kmap } = withDevice(options);
    kernel.entry.requestIrq(0x20, () => {
      kmap.kmap(RAM_PFN);
      kmap.kunmap(RAM_PFN);
    });
    kernel.runner.attach(atBoundary<Runner>(1, (runner) => runner.interrupt(0x20)));
    kernel.call(() => kernel.machine.load32(PAGE_OFFSET));
    kernel.runner.attach(null);
    return reported(kernel).filter((line) => line.startsWith('BUG'));
  };

  it('is reported, since it may sleep', () => {
    const line = 'BUG: sleeping function called from invalid context';
    expect(inHandler({})[0]).toContain(line);
    expect(inHandler({ revision: 'v10' })[0]).toContain(line);
  });

  it.each([
    ['reference', {}],
    ['rfc-v3', { revision: 'rfc-v3' }],
    ['v7', { revision: 'v7' }],
    ['v10', { revision: 'v10' }],
    ['HIGHMEM', { config: { HIGHMEM: true } }],
  ] satisfies [string, BootOptions][])(
    'goes unnoticed with kmap-sleep-unchecked, in %s',
    (_name, options) => {
      expect(inHandler(options)[0]).toContain('BUG: sleeping function called');
      expect(inHandler({ ...options, sabotages: ['kmap-sleep-unchecked'] })).toEqual([]);
    },
  );
});

describe('sabotage', () => {
  const refusedInside = (options: BootOptions): boolean => {
    const { kernel, kmap } = withDevice(options);
    return kernel.call(() => kernel.machine.tryStore32(kmap.kmap(PFN), 1));
  };

  it('kmap-hook-removed is caught by the check that a mapped page can be used', () => {
    expect(refusedInside({})).toBe(false);
    expect(refusedInside({ sabotages: ['kmap-hook-removed'] })).toBe(true);
  });
});
