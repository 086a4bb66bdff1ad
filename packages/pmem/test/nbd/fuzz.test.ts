// SPDX-License-Identifier: MIT
import { describe, it } from 'vitest';
import { fuzzOnce, fuzzTarget } from './fuzz.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 1);
const INPUTS = 10_000;

describe(`the NBD parser, fuzzed (seed: ${seed})`, () => {
  it('survives 10,000 clients', { timeout: 60_000 }, () => {
    const target = fuzzTarget();
    for (let i = 0; i < INPUTS; i++) fuzzOnce(seed + i, target);
  });
});
