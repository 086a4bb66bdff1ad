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

  it.each<[string, readonly (readonly [number, number])[], [number, number][]]>([
    [
      'the same',
      [
        [8, 4],
        [8, 4],
      ],
      [[8, 4]],
    ],
    [
      'a part',
      [
        [8, 4],
        [9, 2],
      ],
      [[8, 4]],
    ],
    [
      'the first part',
      [
        [8, 4],
        [8, 1],
      ],
      [[8, 4]],
    ],
    [
      'what lies around it',
      [
        [8, 4],
        [6, 10],
      ],
      [[6, 10]],
    ],
    [
      'its start',
      [
        [8, 4],
        [6, 4],
      ],
      [[6, 6]],
    ],
    [
      'its end',
      [
        [8, 4],
        [10, 4],
      ],
      [[8, 6]],
    ],
    [
      'what comes right before it',
      [
        [8, 4],
        [6, 2],
      ],
      [[6, 6]],
    ],
    [
      'what comes right behind it',
      [
        [8, 4],
        [12, 2],
      ],
      [[8, 6]],
    ],
    [
      'the gap between two',
      [
        [8, 4],
        [16, 4],
        [12, 4],
      ],
      [[8, 12]],
    ],
    [
      'all of three',
      [
        [8, 1],
        [10, 1],
        [12, 1],
        [7, 7],
      ],
      [[7, 7]],
    ],
    [
      'what is one sector off, before and behind',
      [
        [8, 4],
        [6, 1],
        [13, 1],
      ],
      [
        [6, 1],
        [8, 4],
        [13, 1],
      ],
    ],
  ])('are one range with %s', (_what, added, shown) => {
    const { device } = rig();
    for (const [sector, count] of added) expect(device.addBadBlocks(sector, count)).toBe(true);
    expect(device.badBlocks.map(({ sector, count }) => [sector, count])).toEqual(shown);
  });

  it('take one entry however often one of them is set', () => {
    const { device } = rig();
    for (let i = 0; i < 2000; i++) expect(device.addBadBlocks(100, 1)).toBe(true);
    expect(device.badBlocks).toEqual([{ sector: 100, count: 1 }]);
  });

  it('fit 512 runs; one more is refused, and one that joins others has room', () => {
    const { device } = rig();
    for (let i = 0; i < 512; i++) expect(device.addBadBlocks(i * 10, 5)).toBe(true);
    expect(device.addBadBlocks(9999, 1)).toBe(false);
    expect(device.badBlocks).toHaveLength(512);
    expect(device.addBadBlocks(15, 1)).toBe(true); // longer at its end
    expect(device.addBadBlocks(29, 1)).toBe(true); // longer at its start
    expect(device.badBlocks.slice(1, 4)).toEqual([
      { sector: 10, count: 6 },
      { sector: 20, count: 5 },
      { sector: 29, count: 6 },
    ]);
    expect(device.addBadBlocks(9999, 1)).toBe(false);
    expect(device.addBadBlocks(25, 4)).toBe(true); // two are one
    expect(device.badBlocks).toHaveLength(511);
    expect(device.addBadBlocks(9999, 1)).toBe(true);
    expect(device.addBadBlocks(8888, 1)).toBe(false);
  });

  it('leave, where a cut has no room, too much bad and never too little', () => {
    const { kernel, device } = rig();
    for (let i = 0; i < 512; i++) device.addBadBlocks(i * 10, 5);
    const clear = (sector: number) =>
      kernel.call(() => device.write(sector * 512, new Uint8Array(512)));
    expect(clear(1)).toBe(-EIO); // would be two
    expect(device.badBlocks[0]).toEqual({ sector: 0, count: 5 });
    expect([clear(0), clear(4)]).toEqual([0, 0]); // its ends need no room
    expect(device.badBlocks[0]).toEqual({ sector: 1, count: 3 });
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
      expect(touching(device)).toBe(false);
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

/** Whether two ranges could be one. */
function touching({ badBlocks }: PmemDevice): boolean {
  const ends = new Set(badBlocks.map(({ sector, count }) => sector + count));
  return badBlocks.some(({ sector }) => ends.has(sector));
}

function sectors(device: PmemDevice): number[] {
  const all = device.badBlocks.flatMap(({ sector, count }) =>
    Array.from({ length: count }, (_, i) => sector + i),
  );
  return all;
}
