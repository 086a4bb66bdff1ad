// SPDX-License-Identifier: MIT
import { boot, type Kernel } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { describe, expect, it } from 'vitest';
import { type DevDax, dax, devDaxProbe } from '../src/index.ts';

const BASE = 0x1_4000_0000;
const GIB = 2 ** 30;

function probe(alignment: number, size: number = 2 * GIB): { kernel: Kernel; device: DevDax } {
  const kernel = boot({ modules: [pksCore, memremap, kmap, dax] });
  const request = { name: 'dax0.0', device: 0, physical: BASE, size, alignment };
  return { kernel, device: kernel.call(() => devDaxProbe(kernel, request)) };
}

describe('device-dax', () => {
  it('refuses an alignment that is no page size, or that the size does not fit', () => {
    expect(() => probe(8192)).toThrow('give 4096, 2 MiB or 1 GiB');
    expect(() => probe(GIB, GIB + 4096)).toThrow('multiple of it');
  });

  it('has its memory protected with the device key, until it is removed', () => {
    const { kernel, device } = probe(4096, 4096 * 16);
    expect(device.pagemap.pkey).toBe(1);
    const { access } = kernel.module(memremap);
    expect(access.branch.count.get(0)).toBe(1);
    kernel.call(() => device.remove());
    expect(access.branch.count.get(0)).toBe(0);
    expect(kernel.call(() => kernel.userMm.mmap({ file: device.file, length: 4096 }))).toBe(-9);
    expect(kernel.mm.lookup(device.pagemap.address).present).toBe(false);
    expect(kernel.module(dax).getByHost('dax0.0')).toBeNull();
  });

  it('keeps nothing of a probe whose later step fails: the mapping is released', () => {
    const kernel = boot({ modules: [pksCore, memremap, kmap, dax] });
    const { access } = kernel.module(memremap);
    const core = kernel.module(dax);
    const operations = {
      directAccess: () => -5,
      copyFromIter: () => 0,
      copyToIter: () => 0,
      zeroPageRange: () => -5,
    };
    const taken = kernel.call(() =>
      Array.from({ length: 16 }, (_, i) => core.allocDax({ name: `other${i}`, operations })),
    );
    const request = { name: 'dax0.0', device: 3, physical: BASE, size: 2 ** 21 };
    const probing = (): unknown => kernel.call(() => devDaxProbe(kernel, request));
    expect(probing).toThrow('all 16 dax devices are in use');
    expect(kernel.mm.lookup(kernel.mm.directAddress(BASE)).present).toBe(false);
    expect(access.branch.count.values[0]).toBe(0);
    kernel.call(() => core.putDax(taken[0] as (typeof taken)[0]));
    expect(probing).not.toThrow();
    expect(probing).toThrow('overlaps page map 0');
  });
});
