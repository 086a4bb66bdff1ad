// SPDX-License-Identifier: MIT
// A part of a large leaf of the direct map gets the device key.

import { boot, type Kernel } from '@pkslab/kernel';
import { pksCore } from '@pkslab/pks-core';
import { entryHigh, LARGE_PAGE_SIZE } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { memremap } from '../src/index.ts';

/** RAM in the direct map: its second half, with 2 MiB leaves. */
const PHYSICAL = 2 ** 25;

interface Rig {
  readonly kernel: Kernel;
  readonly address: number;
  readonly key: number;
}

function rig(): Rig {
  const kernel = boot({ cpus: 2, memory: 2 ** 26, modules: [pksCore, memremap] });
  const address = kernel.mm.directAddress(PHYSICAL);
  return { kernel, address, key: kernel.module(memremap).access.pkey };
}

/** Whether stores on CPU 0 and CPU 1 are refused, each of which has the leaf in its TLB from before. */
function refusedOnBoth({ kernel, address }: Rig, change: () => void): readonly boolean[] {
  const seen = kernel.machine.column({ name: 'seen', type: 'u32', initial: 0, per: 'cpu' });
  const touch = (cpu: number) => (): void => {
    seen.set(cpu, kernel.machine.tryStore32(address + 4096, 1) ? 1 : 0);
  };
  const onEach = (): void => {
    kernel.call(() => {
      for (const cpu of [0, 1]) kernel.spawnCode({ name: `on ${cpu}`, calls: [touch(cpu)], cpu });
    });
    kernel.run();
  };
  onEach();
  expect([...seen.values]).toEqual([0, 0]);
  kernel.call(change);
  onEach();
  return [...seen.values].map((value) => value === 1);
}

describe('a page of a 2 MiB leaf', () => {
  it('gets a key that every CPU respects, and its neighbours do not', () => {
    const made = rig();
    const { kernel, address, key } = made;
    expect(kernel.mm.lookup(address).level).toBe(2);
    const refused = refusedOnBoth(made, () => kernel.mm.setKey(address + 4096, 4096, key));
    expect(refused).toEqual([true, true]);
    expect(kernel.call(() => kernel.machine.tryStore32(address, 1))).toBe(false);
    expect(kernel.call(() => kernel.machine.tryStore32(address + 8192, 1))).toBe(false);
    expect(kernel.mm.lookup(address + LARGE_PAGE_SIZE).level).toBe(2);
  });

  it('would be open on a CPU whose TLB nobody flushes', () => {
    const made = rig();
    const { kernel, address, key } = made;
    kernel.call(() => kernel.mm.setKey(address + 4096, 4096, 0));
    const refused = refusedOnBoth(made, () => {
      const { entries, depth } = kernel.mm.lookup(address + 4096);
      const at = entries[depth - 1] as number;
      const low = kernel.machine.readEntry(at);
      kernel.machine.writeEntry(at, low, entryHigh(PHYSICAL + 4096, key, true));
    });
    expect(refused).toContain(false);
  });
});
