// SPDX-License-Identifier: MIT
import { EINVAL, EIO } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import type { PmemDevice } from '../src/index.ts';
import { onMedia, pattern, rig } from './support.ts';

describe('bad blocks', () => {
  it('fail reads of any byte of them, before access is opened, and no other', () => {
    const { kernel, device } = rig();
    device.addBadBlocks(2, 1);
    const read = (offset: number, length: number) =>
      kernel.call(() => device.read(offset, new Uint8Array(length)));
    expect(read(1023, 1)).toBe(0);
    expect(read(1023, 2)).toBe(-EIO);
    expect(read(1535, 1)).toBe(-EIO);
    expect(read(1536, 100)).toBe(0);
    expect(read(0, 8192)).toBe(-EIO);
  });

  it('are good again once they were written as a whole, and hold what was written', () => {
    const { kernel, device, media } = rig();
    device.addBadBlocks(8, 8);
    const data = pattern(4096);
    kernel.call(() => {
      expect(device.write(4096, data)).toBe(0);
      expect(device.flush()).toBe(0);
    });
    expect(device.badBlocks).toEqual([]);
    expect(onMedia(media, 4096, 4096)).toEqual(data);
  });

  it('stay bad, and the write fails, where a write covers them in part', () => {
    const { kernel, device } = rig();
    device.addBadBlocks(0, 4);
    expect(kernel.call(() => device.write(100, pattern(1000)))).toBe(-EIO);
    expect(device.badBlocks).toEqual([
      { sector: 0, count: 1 },
      { sector: 2, count: 2 },
    ]);
  });

  it('are told apart by device, and go with it', () => {
    const { kernel, device, driver, media } = rig();
    device.addBadBlocks(5, 1);
    kernel.call(() => device.detach());
    const again = kernel.call(() => driver.attachDisk({ media }));
    expect(again.badBlocks).toEqual([]);
  });

  it.each([
    [-1, 5],
    [1.5, 1],
    [Number.NaN, 1],
    [0, 0],
    [0, -1],
    [0, 0.5],
    [2 ** 40, 1],
    [16384, 1],
    [16383, 2],
  ])('are refused where the device has no such sectors: %d, %d of them', (sector, count) => {
    const { device } = rig();
    expect(() => device.addBadBlocks(sector, count)).toThrow(
      expect.objectContaining({ errno: EINVAL, message: expect.stringContaining('0 to 16383') }),
    );
    expect(device.badBlocks).toEqual([]);
    expect(device.addBadBlocks(16383, 1)).toBe(true);
  });

  it('fit 64 runs; one more is refused, and a cut without room leaves too much bad, never too little', () => {
    const { kernel, device } = rig();
    for (let i = 0; i < 64; i++) expect(device.addBadBlocks(i * 10, 5)).toBe(true);
    expect(device.addBadBlocks(9999, 1)).toBe(false);
    expect(kernel.call(() => device.write(512, new Uint8Array(512)))).toBe(-EIO);
    expect(device.badBlocks[0]).toEqual({ sector: 0, count: 5 });
  });

  it('agree with a plain set of sectors, over 400 random changes (seed 7)', () => {
    const { kernel, device } = rig();
    const expected = new Set<number>();
    const next = random(7);
    for (let step = 0; step < 400; step++) {
      const range = Array.from({ length: 1 + next(8) }, (_, i) => i);
      const sector = next(64);
      if (next(3) === 0 && device.addBadBlocks(sector, range.length)) {
        for (const i of range) expected.add(sector + i);
      } else {
        kernel.call(() => device.write(sector * 512, new Uint8Array(range.length * 512)));
        for (const i of range) expected.delete(sector + i);
      }
      expect(sectors(device)).toEqual([...expected].sort((a, b) => a - b));
    }
  });
});

/** A linear congruential generator: numbers below a limit. */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % limit;
  };
}

function sectors(device: PmemDevice): number[] {
  const all = device.badBlocks.flatMap(({ sector, count }) =>
    Array.from({ length: count }, (_, i) => sector + i),
  );
  return [...new Set(all)].sort((a, b) => a - b);
}
