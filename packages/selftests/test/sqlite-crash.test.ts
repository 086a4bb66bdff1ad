// SPDX-License-Identifier: MIT
// The power fails anywhere in SQLite's transactions: a bounded search; the large one is sqlite-crash.long.test.ts.

import { describe, expect, it } from 'vitest';
import type { Disk } from '../src/sqlite/disk.ts';
import { SUPERBLOCK_SIZE } from '../src/sqlite/layout.ts';
import { type CrashSearch, crash, record, summary, withoutFence } from './sqlite-crash.ts';

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

  it('would find something else with one fence removed', () => {
    const recording = record({ transactions: 3, seed, journalMode: 'TRUNCATE' });
    const [, second] = recording.spans;
    const fences = recording.log.events.slice(0, second?.begun).filter((e) => e.kind === 'fence');
    const caught: number[] = [];
    for (let fence = fences.length; fence < fences.length + 8; fence++) {
      const found = crash(withoutFence(recording, fence), { ...adr, untilFirst: true });
      if (found.complaints.length > 0) caught.push(fence - fences.length);
    }
    process.stdout.write(
      `of 8 fences of one transaction, without any one of ${caught.length} it fails\n`,
    );
    expect(caught.length).toBeGreaterThan(0);
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
