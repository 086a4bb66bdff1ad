// SPDX-License-Identifier: MIT
import { describe, it } from 'vitest';
import { fuzzInfoBlocks } from './info-block-fuzz.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 1_000_000);

describe(`info blocks, fuzzed at length (seed: ${seed})`, () => {
  it('are none, good or refused, 1,000,000 times', { timeout: 30 * 60_000 }, () => {
    const { none, good, refused } = fuzzInfoBlocks(seed, 1_000_000);
    process.stdout.write(`info blocks: ${none} none, ${good} good, ${refused} refused\n`);
  });
});
