// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { killLoop } from './nbd-kills.ts';
import { temporaryFolder } from './processes.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 1);

describe(`a server that is killed under a writer (seed: ${seed})`, () => {
  it('has every write that it promised, after each of 25 kills', { timeout: 120_000 }, async () => {
    const folder = temporaryFolder();
    expect(await killLoop(folder.path, 25, seed)).toBeGreaterThan(500);
    folder.remove();
  });

  it('is caught if it does not write back what it promised', { timeout: 60_000 }, async () => {
    const folder = temporaryFolder();
    const run = killLoop(folder.path, 3, seed, ['write-back-lost']);
    await expect(run).rejects.toThrow('is none of its versions');
    folder.remove();
  });
});
