// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { killLoop } from './nbd-kills.ts';
import { temporaryFolder } from './processes.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 2);

describe(`a server that is killed under a writer, at length (seed: ${seed})`, () => {
  it('has every write that it promised, after each of 200 kills', {
    timeout: 1_200_000,
  }, async () => {
    const folder = temporaryFolder();
    expect(await killLoop(folder.path, 200, seed)).toBeGreaterThan(4000);
    folder.remove();
  });
});
