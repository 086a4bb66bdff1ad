// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { flatExtents } from '../src/index.ts';
import { rig } from './support.ts';

describe('flatExtents', () => {
  const { device } = rig();
  const file = flatExtents(device, [
    { offset: 16384, length: 4096, address: 0, unwritten: true },
    { offset: 4096, length: 8192, address: 65536 },
  ]);

  it.each([
    [4096, 'mapped', 4096, 8192],
    [12287, 'mapped', 4096, 8192],
    [0, 'hole', 0, 4096],
    [12288, 'hole', 12288, 4096],
    [16384, 'unwritten', 16384, 4096],
    [20480, 'hole', 20480, 99999],
  ])('finds the run at %i', (position, type, offset, length) => {
    expect(file.begin(position, 99999)).toMatchObject({ type, offset, length });
  });
});
