// SPDX-License-Identifier: MIT
import { describe, it } from 'vitest';
import { fuzzVolumes } from './volume-fuzz.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 1_000_000);

describe(`the superblocks of a volume, fuzzed at length (seed: ${seed})`, () => {
  it('are taken or refused, 1,000,000 times', { timeout: 30 * 60_000 }, () => {
    const { opened, refused } = fuzzVolumes(seed, 1_000_000);
    process.stdout.write(`volumes with any superblocks: ${opened} opened, ${refused} refused\n`);
  });
});
