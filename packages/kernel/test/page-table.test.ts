// SPDX-License-Identifier: MIT
import { LARGE_PAGE_SIZE } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { type BootOptions, boot, type Kernel } from '../src/index.ts';

const GIB = 2 ** 30;
/** Physical memory that is not RAM, on a 1 GiB boundary. */
const DEVICE = 4 * GIB;

function withLeaf(size: number, options: BootOptions = {}): { kernel: Kernel; address: number } {
  const kernel = boot({ memory: 2 ** 26, ...options });
  kernel.machine.memory.addRegion(DEVICE, 2 * GIB, { read() {}, write() {} });
  const address = kernel.mm.directAddress(DEVICE);
  kernel.call(() => kernel.mm.map(address, DEVICE, size, { key: 2, writable: true }));
  return { kernel, address };
}

const leaf = (kernel: Kernel, address: number): (number | boolean)[] => {
  const { present, level, key, frame } = kernel.mm.lookup(address);
  return [present, level, key, frame];
};

/** All that a walk says of the pages of a range, but the level: what a split must not change. */
function meaning(kernel: Kernel, address: number, offsets: readonly number[]): unknown[] {
  return offsets.map((offset) => {
    const { present, key, frame } = kernel.mm.lookup(address + offset);
    return [present, key, frame];
  });
}

describe('the largest leaf that fits', () => {
  it('is 1 GiB, 2 MiB or 4 KiB', () => {
    const { kernel, address } = withLeaf(GIB + LARGE_PAGE_SIZE + 4096);
    expect(leaf(kernel, address)).toEqual([true, 3, 2, DEVICE]);
    expect(leaf(kernel, address + GIB)).toEqual([true, 2, 2, DEVICE + GIB]);
    const tail = GIB + LARGE_PAGE_SIZE;
    expect(leaf(kernel, address + tail)).toEqual([true, 1, 2, DEVICE + tail]);
    expect(kernel.mm.lookup(address + tail + 4096).present).toBe(false);
  });

  it('is 2 MiB on a CPU without 1 GiB pages', () => {
    const { kernel, address } = withLeaf(GIB, { features: { gigabytePages: false } });
    expect(leaf(kernel, address)).toEqual([true, 2, 2, DEVICE]);
  });
});

describe('split_large_page', () => {
  const offsets = [
    0,
    4096,
    LARGE_PAGE_SIZE - 4096,
    LARGE_PAGE_SIZE,
    5 * LARGE_PAGE_SIZE,
    GIB - 4096,
  ];

  it('gives one page of a 1 GiB leaf a key of its own, and leaves all others as they were', () => {
    const { kernel, address } = withLeaf(GIB);
    const before = meaning(kernel, address, offsets);
    const at = address + 3 * LARGE_PAGE_SIZE + 7 * 4096;
    expect(kernel.call(() => kernel.mm.setKey(at, 4096, 5))).toBe(true);
    expect(leaf(kernel, at)).toEqual([true, 1, 5, at - address + DEVICE]);
    expect(kernel.mm.lookup(at - 4096).key).toBe(2);
    expect(kernel.mm.lookup(at + 4096).key).toBe(2);
    expect(meaning(kernel, address, offsets)).toEqual(before);
    // What is not near it stays in one leaf each.
    expect(kernel.mm.lookup(address).level).toBe(2);
    expect(kernel.mm.lookup(at + 4096).level).toBe(1);
  });

  it('does not split a leaf that is whole in the range', () => {
    const { kernel, address } = withLeaf(2 * LARGE_PAGE_SIZE);
    kernel.call(() => kernel.mm.setKey(address, LARGE_PAGE_SIZE, 5));
    expect(leaf(kernel, address)).toEqual([true, 2, 5, DEVICE]);
    expect(kernel.mm.lookup(address + LARGE_PAGE_SIZE).key).toBe(2);
  });

  it('happens under a map of a part of a large leaf, and an unmap of one', () => {
    const { kernel, address } = withLeaf(LARGE_PAGE_SIZE);
    kernel.call(() => {
      kernel.mm.map(address + 4096, DEVICE + 4096, 4096, { key: 7, writable: false });
      kernel.mm.unmap(address + 8192, 4096);
    });
    expect([0, 4096, 8192, 12288].map((at) => kernel.mm.lookup(address + at).present)).toEqual([
      true,
      true,
      false,
      true,
    ]);
    expect(kernel.mm.lookup(address + 4096).key).toBe(7);
    expect(kernel.mm.lookup(address + 12288).key).toBe(2);
  });

  it('without a page for the table changes nothing', () => {
    const { kernel, address } = withLeaf(GIB);
    const before = meaning(kernel, address, offsets);
    kernel.call(() => {
      while (kernel.mm.tryAllocPage() >= 0);
    });
    expect(kernel.call(() => kernel.mm.setKey(address + 4096, 4096, 5))).toBe(false);
    expect(meaning(kernel, address, offsets)).toEqual(before);
  });
});
