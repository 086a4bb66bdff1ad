// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { quarters, soak } from './nbd-soak.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 3);
const SECONDS = Number(process.env['PKSLAB_SOAK_SECONDS'] ?? 600);
/** How much more the last quarter may take than the first: the collector runs when it likes. */
const GROWTH_MAX = 1.1;

describe(`a server under mixed load (seed: ${seed})`, () => {
  it('takes no more memory at the end than at the start', {
    timeout: SECONDS * 2000 + 60_000,
  }, async () => {
    const { requests, connections, errors, resident } = await soak(SECONDS, seed);
    const [first = 0, , , last = 0] = quarters(resident);
    const highest = quarters(resident)
      .map((value) => value.toFixed(0))
      .join(', ');
    process.stdout.write(
      `soak of ${SECONDS} s: ${requests} requests of ${connections} connections; resident MB, highest of each quarter: ${highest}\n`,
    );
    expect(errors).toBe(0);
    expect(last).toBeLessThan(first * GROWTH_MAX);
  });
});
