// SPDX-License-Identifier: MIT
import { memoryMedia, type PmemDevice } from '@pkslab/pmem';
import { describe, expect, it } from 'vitest';
import { bootStack, StraysBeside } from '../src/index.ts';
import type { StrayCounts } from '../src/stray/kinds.ts';

const SIZE = 2 ** 20;

/** Writes all of a device and reads it back, with strays beside; what differs, and what the strays did. */
function run(sabotages: readonly string[]): { wrong: number; counts: StrayCounts } {
  const stack = bootStack({ cpus: 2, sabotages, pmem: [{ media: memoryMedia(SIZE) }] });
  const { kernel } = stack;
  const device = stack.devices[0] as PmemDevice;
  const strays = new StraysBeside(stack, device, 7);
  const page = new Uint8Array(4096).fill(0x5a);
  const back = new Uint8Array(4096);
  for (let at = 0; at < SIZE; at += 4096) {
    strays.allow(8);
    kernel.call(() => device.write(at, page));
  }
  let wrong = 0;
  for (let at = 0; at < SIZE; at += 4096) {
    kernel.call(() => device.read(at, back));
    wrong += back.reduce((sum, byte) => sum + (byte === 0x5a ? 0 : 1), 0);
  }
  strays.stop();
  return { wrong, counts: strays.counts };
}

describe('StraysBeside', () => {
  it('leaves the data of a protected device alone, and every stray is counted', () => {
    const { wrong, counts } = run([]);
    expect(wrong).toBe(0);
    expect(counts.attempted).toBeGreaterThan(200);
    expect(counts.reached).toBe(0);
    expect(counts.insideWindow).toBeGreaterThan(0);
    expect(counts.stopped).toBe(counts.attempted - counts.insideWindow);
  });

  it('reaches a device whose protection was forgotten', () => {
    const { wrong, counts } = run(['pmem-flag-not-set']);
    expect(counts.reached).toBeGreaterThan(100);
    expect(wrong).toBeGreaterThan(100);
  });
});
