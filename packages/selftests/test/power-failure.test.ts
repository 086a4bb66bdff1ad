// SPDX-License-Identifier: MIT
// Commits on persistent memory under a power failure at each step, and commits that are wrong.

import { explore } from '@pkslab/explore';
import { revisionNames } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';
import { commitBio, commitOnMapped, commitProtocol } from '../src/scenarios/power-failure.ts';

describe('a commit on mapped pmem', () => {
  it.each(revisionNames)('leaves before or after, never between (%s)', (revision) => {
    const found = explore(commitProtocol, { revision });
    expect(found).toMatchObject({ verdict: 'holds', message: null, events: 1 });
    expect(found.recoveries).toBeGreaterThan(30);
    expect(found.undelivered).toEqual([]);
  });

  it('needs no write-back and no fence where the caches are saved too', () => {
    const domain = 'eadr';
    for (const without of [undefined, 'fence', 'writeBack'] as const) {
      const found = explore(commitOnMapped({ name: 'commit-eadr', domain, without }));
      expect(found).toMatchObject({ verdict: 'holds', message: null });
    }
  });

  it.each(['fence', 'writeBack'] as const)('is broken without the %s', (without) => {
    const found = explore(commitOnMapped({ name: `commit-without-${without}`, without }));
    expect(found).toMatchObject({ verdict: 'violated', invariant: 'recovery', events: 1 });
    expect(found.message).toBe('committed, but byte 0 of the data is not there');
    const lines = found.trace.split('\n');
    const crash = lines.findIndex((line) => line.includes('>>> the power fails'));
    expect(lines.slice(crash, crash + 3)).toEqual([
      '>>> the power fails',
      'recovery       line 0x100000040: 1 of 1 stores since it was sure survived',
      'recovery       line 0x100000000: 0 of 4 stores since it was sure survived',
    ]);
  });

  it('loses nothing without a power failure, fence or no fence', () => {
    const broken = commitOnMapped({ name: 'commit-without-fence', without: 'fence' });
    const found = explore(broken, { budget: { powerFail: 0 } });
    expect(found).toMatchObject({ verdict: 'holds', recoveries: 0 });
  });
});

describe('a commit by bios', () => {
  it.each(revisionNames)('leaves before or after, never between (%s)', (revision) => {
    const found = explore(commitBio, { revision });
    expect(found).toMatchObject({ verdict: 'holds', message: null, events: 1 });
    expect(found.recoveries).toBeGreaterThan(80);
  });

  it.each(['write-back-lost', 'flush-without-fence'])('is broken by %s', (sabotage) => {
    const found = explore(commitBio, { sabotages: [sabotage] });
    expect(found).toMatchObject({ verdict: 'violated', invariant: 'recovery', events: 1 });
  });

  it('is in the catalogue, as the other one is', () => {
    expect(scenarios).toEqual(expect.arrayContaining([commitBio, commitProtocol]));
  });
});
