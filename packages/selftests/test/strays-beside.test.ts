// SPDX-License-Identifier: MIT

import type { BootOptions } from '@pkslab/kernel';
import { memoryMedia, type PmemDevice } from '@pkslab/pmem';
import { EndlessRetry } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { bootStack, StraysBeside } from '../src/index.ts';
import type { StrayCounts } from '../src/stray/kinds.ts';

const SIZE = 2 ** 20;

interface Ran {
  readonly wrong: number;
  readonly counts: StrayCounts;
  /** Given up. */
  readonly stuck: number;
}

/** Writes all of a device and reads it back, with strays beside; what differs, and what the strays did. */
function run(options: Pick<BootOptions, 'sabotages' | 'revision'>, seed = 7): Ran {
  const stack = bootStack({ cpus: 2, ...options, pmem: [{ media: memoryMedia(SIZE) }] });
  const { kernel } = stack;
  const device = stack.devices[0] as PmemDevice;
  const strays = new StraysBeside(stack, device, seed);
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
  return { wrong, counts: strays.counts, stuck: strays.stuck };
}

/** In v7 the device's own user can be refused for ever, too: null. */
function runOrLockup(options: Pick<BootOptions, 'revision'>, seed: number): Ran | null {
  try {
    return run(options, seed);
  } catch (error) {
    expect(error).toBeInstanceOf(EndlessRetry);
    expect(options.revision).toBe('v7');
    return null;
  }
}

describe('StraysBeside', () => {
  it('leaves the data of a protected device alone, and every stray is counted', () => {
    const { wrong, counts, stuck } = run({});
    expect(wrong).toBe(0);
    expect(counts.attempted).toBeGreaterThan(200);
    expect(counts.reached).toBe(0);
    expect(counts.insideWindow).toBeGreaterThan(0);
    expect(counts.stopped).toBe(counts.attempted - counts.insideWindow);
    expect(stuck).toBe(0);
  });

  it('reaches a device whose protection was forgotten', () => {
    const { wrong, counts } = run({ sabotages: ['pmem-flag-not-set'] });
    expect(counts.reached).toBeGreaterThan(100);
    expect(wrong).toBeGreaterThan(100);
  });

  it('ends in each posted revision, and a write that its kernel retries for ever is given up', () => {
    const posted = ['rfc-v2', 'rfc-v3', 'v7', 'v10'] as const;
    let given = 0;
    for (const revision of posted) {
      for (let seed = 1; seed <= 12; seed++) {
        const found = runOrLockup({ revision }, seed);
        if (found === null) continue;
        const { counts, stuck } = found;
        const { attempted, stopped, insideWindow, reached } = counts;
        expect(stopped + insideWindow + reached).toBe(attempted);
        expect(stuck).toBeLessThanOrEqual(stopped);
        if (revision !== 'v7') expect(stuck).toBe(0);
        given += stuck;
      }
    }
    expect(given).toBeGreaterThan(0);
  });
});
