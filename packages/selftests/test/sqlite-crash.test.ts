// SPDX-License-Identifier: MIT
// The power fails anywhere in SQLite's transactions: a bounded search; the large one is sqlite-crash.long.test.ts.

import { describe, expect, it } from 'vitest';
import type { Disk } from '../src/sqlite/disk.ts';
import { SUPERBLOCK_SIZE } from '../src/sqlite/layout.ts';
import {
  type CrashSearch,
  crash,
  fencesOfTransaction,
  record,
  summary,
  withoutFence,
} from './sqlite-crash.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 1);
const TRANSACTIONS = 6;
const adr: CrashSearch = { domain: 'adr', bound: 256, samples: 20, seed };
const eadr: CrashSearch = { domain: 'eadr', bound: 1, samples: 0, seed, every: 7 };

/** A volume that writes its superblock always in the same place. */
const oneCopy = (disk: Disk): Disk => ({
  size: disk.size,
  read: (offset, into) => disk.read(offset, into),
  write: (offset, from) => disk.write(offset === SUPERBLOCK_SIZE ? 0 : offset, from),
  flush: () => disk.flush(),
});

describe(`SQLite after a power failure (seed: ${seed})`, () => {
  it.each(['TRUNCATE', 'PERSIST'] as const)('finds before or after, never between: %s', (mode) => {
    const recording = record({ transactions: TRANSACTIONS, seed, journalMode: mode });
    for (const search of [adr, eadr]) {
      const found = crash(recording, search);
      process.stdout.write(`${summary(mode, search, found)}\n`);
      expect(found.complaints).toEqual([]);
      expect(found.before).toBeGreaterThan(0);
      expect(found.after).toBeGreaterThan(0);
    }
  });

  it('would find something else without any one of the fences that matter, by name (seed 1)', () => {
    const recording = record({ transactions: 3, seed: 1, journalMode: 'TRUNCATE' });
    const search = { ...adr, seed: 1, untilFirst: true };
    const fails = (...fences: number[]): boolean =>
      // From the last on: the numbers of the others stay.
      crash([...fences].sort((a, b) => b - a).reduce(withoutFence, recording), search).complaints
        .length > 0;
    const fences = [1, 2].map((transaction) => fencesOfTransaction(recording, transaction));
    const found = fences.map((all) =>
      all.map(({ fence, stored }) => `${fails(fence) ? 'matters' : 'does not'}: ${stored}`),
    );
    const begin = [
      'matters: journal header, journal', // or a size covers pages that are not there
      // The journal's size, and then its header with the number of pages: the next fence is for both, and until
      // then the database is as it was.
      'does not: superblock',
      'matters: journal header', // or the database changes before there is a way back
    ];
    // Until the journal is cut off there is a way back, so the database has until the last fence before that; the
    // one for which nothing was stored can stand for those right before it.
    const grown = ['does not: database', 'does not: superblock', 'does not: '];
    const inPlace = ['does not: database', 'does not: '];
    const commit = 'matters: superblock'; // or what was acknowledged is lost
    expect(found).toEqual([
      [...begin, ...grown, commit],
      [...begin, ...inPlace, commit],
    ]);
    // What one of them can stand for, none cannot.
    for (const all of fences)
      expect(fails(...all.slice(3, -1).map(({ fence }) => fence))).toBe(true);
  });

  it.each(['flush-without-fence', 'write-back-lost'])(
    'would find something else with %s',
    (name) => {
      const recorded = { transactions: TRANSACTIONS, seed, journalMode: 'TRUNCATE' } as const;
      const recording = record({ ...recorded, sabotages: [name] });
      expect(crash(recording, { ...adr, untilFirst: true }).complaints).toHaveLength(1);
      // What eADR is for: nothing has to be written back or fenced.
      expect(crash(recording, eadr).complaints).toEqual([]);
    },
  );

  it.each([adr, { ...eadr, every: 1 }])('would lose a volume with one superblock: %o', (search) => {
    const recorded = { transactions: 2, seed, journalMode: 'TRUNCATE' } as const;
    const found = crash(record({ ...recorded, through: oneCopy }), { ...search, untilFirst: true });
    expect(found.complaints.join()).toContain('superblock is damaged');
  });
});
