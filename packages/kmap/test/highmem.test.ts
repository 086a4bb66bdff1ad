// SPDX-License-Identifier: MIT
// The few addresses of HIGHMEM: who gets which, on two CPUs, and when.

import { type BootOptions, KernelPanic, type Runner } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { atEveryBoundary } from '../../../scripts/testing/boundaries.ts';
import { KM_TYPE_NR, LAST_PKMAP, PKMAP_BASE } from '../src/index.ts';
import { PFN, reported, type Stack, withDevice } from './support.ts';

/** Without the hook: rights belong to a task, and here one task ends what another has mapped. */
const HIGHMEM: BootOptions = { cpus: 2, config: { HIGHMEM: true }, with: { kmapHook: 'off' } };

/** Takes all addresses but `left`, for pages from PFN + 100 on. */
const takeAllBut = ({ kmap }: Stack, left: number): void => {
  for (let i = 0; i < LAST_PKMAP - left; i++) kmap.kmap(PFN + 100 + i);
};

describe('kmap with HIGHMEM on two CPUs', () => {
  /** Pages that are behind the addresses of two users, wherever the second one comes into the first. */
  const pagesOf = (second: (stack: Stack, note: (pfn: number) => void) => void): Set<string> => {
    const seen = new Set<string>();
    atEveryBoundary<Runner>(
      (runner) => runner.runOther(1, 200),
      (source) => {
        const stack = withDevice(HIGHMEM);
        const { kernel, kmap } = stack;
        const got = kernel.machine.column({
          name: 'got',
          type: 'address',
          initial: 0,
          per: 'object',
          count: 2,
        });
        kernel.call(() => {
          kmap.kmap(PFN);
          takeAllBut(stack, 1);
          kernel.spawn('second', () => second(stack, (address) => got.set(1, address)));
        });
        kernel.runner.attach(source);
        kernel.call(() => got.set(0, kmap.kmap(PFN)));
        kernel.runner.attach(null);
        kernel.call(() => kmap.kunmap(PFN + 101));
        kernel.run();
        const frames = [...got.values].map((at) => kernel.mm.lookup(at).frame / 4096 - PFN);
        seen.add(frames.join());
        expect(reported(kernel)).toEqual([]);
      },
    );
    return seen;
  };

  it('gives no address to two pages, though its last user goes while another comes', () => {
    const seen = pagesOf(({ kmap }, note) => {
      kmap.kunmap(PFN);
      note(kmap.kmap(PFN + 1));
      kmap.kunmap(PFN + 100);
    });
    expect(seen).toEqual(new Set(['0,1']));
  });

  it('wakes a caller that has just found all addresses taken', () => {
    const count = atEveryBoundary<Runner>(
      (runner) => runner.runOther(1, 200),
      (source) => {
        const stack = withDevice(HIGHMEM);
        const { kernel, kmap } = stack;
        kernel.call(() => {
          takeAllBut(stack, 0);
          kernel.spawn('other', () => kmap.kunmap(PFN + 100));
        });
        kernel.runner.attach(source);
        expect(kernel.call(() => kmap.kmap(PFN))).toBe(PKMAP_BASE);
        kernel.runner.attach(null);
      },
    );
    expect(count).toBeGreaterThan(10);
  });

  it('gives an address to another page only when no CPU has the old translation', () => {
    const stack = withDevice(HIGHMEM);
    const { kernel, kmap } = stack;
    const { machine } = kernel;
    const value = machine.column({ name: 'value', type: 'u32', initial: 0, per: 'global' });
    const look = kernel.smp.register((address) => value.set(0, machine.load32(address)));
    kernel.call(() => {
      takeAllBut(stack, 1);
      const old = kmap.kmap(PFN);
      machine.store32(old, 11);
      kernel.smp.call(1, look, old);
      kmap.kunmap(PFN);
      const address = kmap.kmap(PFN + 1);
      expect(address).toBe(old);
      machine.store32(address, 22);
      kernel.smp.call(1, look, address);
    });
    expect(value.values[0]).toBe(22);
  });
});

describe('kmap_atomic with HIGHMEM', () => {
  it('has no address past KM_TYPE_NR: the next CPU keeps its own', () => {
    const { kernel, kmap } = withDevice(HIGHMEM);
    const nest = (depth: number): void => {
      for (let i = 0; i < depth; i++) kmap.kmapAtomic(PFN + i);
    };
    expect(() => kernel.call(() => nest(KM_TYPE_NR + 1))).toThrow(KernelPanic);
    expect(reported(kernel).at(-1)).toContain('kernel BUG');
  });
});
