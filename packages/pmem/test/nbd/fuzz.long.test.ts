// SPDX-License-Identifier: MIT
import { describe, it } from 'vitest';
import { fuzzOnce, fuzzTarget } from './fuzz.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 1_000_000);
const INPUTS = 1_000_000;

describe(`the NBD parser, fuzzed at length (seed: ${seed})`, () => {
  it('survives 1,000,000 clients', { timeout: 3_600_000 }, () => {
    const target = fuzzTarget();
    for (let i = 0; i < INPUTS; i++) fuzzOnce(seed + i, target);
  });
});
