// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { fuzzVolumes } from './volume-fuzz.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 1);

describe(`the superblocks of a volume, fuzzed (seed: ${seed})`, () => {
  it('are taken or refused, 10,000 times', () => {
    const { opened, refused } = fuzzVolumes(seed, 10_000);
    expect(opened).toBeGreaterThan(1000);
    expect(refused).toBeGreaterThan(1000);
  });
});
