// SPDX-License-Identifier: MIT
// The power fails anywhere in SQLite's transactions: the large search.

import { describe, expect, it } from 'vitest';
import {
  type CrashSearch,
  crash,
  fencesOf,
  record,
  summary,
  withoutFence,
} from './sqlite-crash.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 1);
const TRANSACTIONS = 40;
const timeout = 30 * 60_000;
const adr: CrashSearch = { domain: 'adr', bound: 4096, samples: 300, seed };
const eadr: CrashSearch = { domain: 'eadr', bound: 1, samples: 0, seed };

describe(`SQLite after a power failure, at length (seed: ${seed})`, () => {
  it.each(['TRUNCATE', 'PERSIST'] as const)(
    'finds before or after, never between: %s',
    { timeout },
    (mode) => {
      const recording = record({ transactions: TRANSACTIONS, seed, journalMode: mode });
      for (const search of [adr, eadr]) {
        const found = crash(recording, search);
        process.stdout.write(`${summary(mode, search, found)}\n`);
        expect(found.complaints).toEqual([]);
      }
    },
  );

  it('says which fences matter', { timeout }, () => {
    const recording = record({ transactions: 8, seed, journalMode: 'TRUNCATE' });
    const fences = fencesOf(recording);
    let caught = 0;
    for (let fence = 0; fence < fences; fence++) {
      const search = { ...adr, bound: 256, samples: 20, untilFirst: true };
      if (crash(withoutFence(recording, fence), search).complaints.length > 0) caught++;
    }
    process.stdout.write(
      `of ${fences} fences, without any one of ${caught} SQLite finds something else\n`,
    );
    expect(caught).toBeGreaterThan(fences / 4);
  });
});
