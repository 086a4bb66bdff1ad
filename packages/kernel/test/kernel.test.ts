// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import {
  boot,
  EINVAL,
  INITCALL_LEVELS,
  type Kernel,
  KernelError,
  type KernelModule,
} from '../src/index.ts';
import { RAM } from './support.ts';

const slice = {
  revisions: {
    'rfc-v2': { colour: 'red' },
    'rfc-v3': { colour: 'red' },
    v7: { colour: 'red' },
    v10: { colour: 'red' },
    reference: { colour: 'green' },
  },
  values: { colour: ['red', 'green', 'blue'] },
  repairs: { 'D-99': { colour: 'blue' } },
  sabotages: { 'paint-over': { colour: 'red' } },
} as const;

function module(create: (kernel: Kernel) => unknown): KernelModule<unknown> {
  return { name: 'test-module', ...slice, create };
}

describe('boot', () => {
  it('says what it boots, on how many CPUs', () => {
    expect(boot({ cpus: 2 }).dmesg).toEqual(['pkslab: booting revision reference on 2 CPU(s)']);
    expect(boot({ revision: 'rfc-v2' }).dmesg[0]).toContain('revision rfc-v2 on 1 CPU(s)');
  });

  it('maps all of RAM and enables interrupts on every CPU', () => {
    const kernel = boot({ cpus: 3, memory: 32 * 2 ** 20 });
    expect([...kernel.machine.registers.interruptFlag.values]).toEqual([1, 1, 1]);
    kernel.call(() => kernel.machine.store32(RAM, 7));
    expect(kernel.call(() => kernel.machine.load32(RAM))).toBe(7);
    expect(kernel.mm.lookup(RAM).level).toBe(2);
  });

  it('sets up the boot CPU, runs the early initcalls, sets up the others, runs the rest (D-17)', () => {
    const order: string[] = [];
    const loaded = module((kernel) => {
      kernel.slots.cpuInit.push(() => order.push(`cpu${kernel.machine.cpu.index}`));
      for (const level of [...INITCALL_LEVELS].reverse()) {
        kernel.initcall(level, () => order.push(level));
      }
      return null;
    });
    boot({ cpus: 2, modules: [loaded] });
    expect(order).toEqual(['cpu0', 'early', 'cpu1', ...INITCALL_LEVELS.slice(1)]);
  });

  it('gives what a loaded module made, and refuses one that is not loaded', () => {
    const made = { answer: 42 };
    const loaded = module(() => made);
    expect(boot({ modules: [loaded] }).module(loaded)).toBe(made);
    expect(() => boot().module(loaded)).toThrow(/test-module is not loaded: add it to boot/);
  });

  it('resolves the choices of every module under the revision, repairs, sabotages and single values', () => {
    const modules = [module(() => null)];
    expect(boot({ modules }).choice('colour')).toBe('green');
    expect(boot({ modules, revision: 'rfc-v2' }).choice('colour')).toBe('red');
    expect(boot({ modules, repairs: ['D-99'] }).choice('colour')).toBe('blue');
    expect(boot({ modules, sabotages: ['paint-over'] }).choice('colour')).toBe('red');
    expect(boot({ modules, with: { colour: 'blue' } }).choice('colour')).toBe('blue');
  });

  it('refuses a choice that no loaded module has', () => {
    expect(() => boot().choice('colour')).toThrow(KernelError);
  });

  it('two kernels share nothing', () => {
    const one = boot();
    const two = boot();
    one.call(() => one.machine.store32(RAM, 1));
    expect(two.call(() => two.machine.load32(RAM))).toBe(0);
  });
});

describe('exec', () => {
  it('renames the task and calls the exec slots with it', () => {
    const seen: number[] = [];
    const kernel = boot({
      modules: [module((k) => k.slots.exec.push((task) => seen.push(task)))],
    });
    const task = kernel.call(() => {
      kernel.exec('sqlite');
      return kernel.tasks.current;
    });
    expect(seen).toEqual([task]);
    expect(kernel.tasks.nameOf(task)).toBe('sqlite');
  });
});

describe('errors of boot', () => {
  it.each([
    [{ revision: 'v99' as 'reference' }, 'unknown revision v99: there is reference, rfc-v2'],
    [{ repairs: ['D-77'] }, 'unknown repair D-77: there is D-01, D-03, D-07, D-08'],
    [{ sabotages: ['none'] }, 'unknown sabotage none: there is state-by-value'],
    [{ with: { colour: 'red' } }, 'unknown choice colour: there is statePassing'],
    [
      { with: { statePassing: 'byPigeon' } },
      'unknown value of statePassing byPigeon: there is byValue, byReference',
    ],
  ])('%j is refused with what there is', (options, message) => {
    let error: unknown;
    try {
      boot(options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(KernelError);
    expect((error as KernelError).errno).toBe(EINVAL);
    expect((error as KernelError).message).toContain(message);
  });

  it('refuses a machine of no or too many CPUs', () => {
    expect(() => boot({ cpus: 0 })).toThrow(RangeError);
    expect(() => boot({ cpus: 9 })).toThrow(RangeError);
  });
});
