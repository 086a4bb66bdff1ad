// SPDX-License-Identifier: MIT
import init, { type Sqlite3Static } from '@sqlite.org/sqlite-wasm';
import { beforeAll, describe, expect, it } from 'vitest';
import { arrayDisk, type Disk } from '../src/sqlite/disk.ts';
import {
  decodeSuperblocks,
  encodeSuperblock,
  firstSuperblock,
  layoutOf,
  SUPERBLOCK_COPIES,
  SUPERBLOCK_SIZE,
  superblockOffset,
} from '../src/sqlite/layout.ts';
import { DATABASE_NAME, installVolumeVfs } from '../src/sqlite/vfs.ts';
import { ImageError, Volume } from '../src/sqlite/volume.ts';

const SIZE = 2 * 1024 * 1024;
let sqlite3: Sqlite3Static;
let opened = 0;

beforeAll(async () => {
  sqlite3 = await init();
  Object.assign(sqlite3, { config: { ...sqlite3.config, error: () => {}, warn: () => {} } });
});

function withDatabase<T>(disk: Disk, use: (db: InstanceType<Sqlite3Static['oo1']['DB']>) => T): T {
  const vfs = installVolumeVfs(sqlite3, new Volume(disk), `test-${opened++}`, 1);
  const db = new sqlite3.oo1.DB({ filename: DATABASE_NAME, vfs: vfs.name });
  try {
    db.exec('PRAGMA journal_mode=TRUNCATE; PRAGMA cache_size=8');
    return use(db);
  } finally {
    db.close();
    vfs.dispose();
  }
}

describe('the SQLite VFS', () => {
  it('keeps a database on a disk over a reopen', () => {
    const bytes = new Uint8Array(SIZE);
    withDatabase(arrayDisk(bytes), (db) => {
      db.exec('CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)');
      for (let i = 0; i < 100; i++) db.exec(`INSERT INTO t(b) VALUES ('row ${i}')`);
    });
    withDatabase(arrayDisk(bytes), (db) => {
      expect(db.selectValue('SELECT count(*) FROM t')).toBe(100);
      expect(db.selectValue('PRAGMA integrity_check')).toBe('ok');
    });
  });

  it('rolls a transaction back from the journal on the disk after every write that a power cut follows', () => {
    const bytes = new Uint8Array(SIZE);
    withDatabase(arrayDisk(bytes), (db) => {
      db.exec('CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)');
      db.exec('INSERT INTO t(b) VALUES (randomblob(20000))');
    });
    const images: Uint8Array[] = [];
    const disk = arrayDisk(bytes);
    const snap = (result: number): number => {
      images.push(bytes.slice());
      return result;
    };
    const watched: Disk = {
      ...disk,
      write: (offset, from) => snap(disk.write(offset, from)),
      flush: () => snap(disk.flush()),
    };
    withDatabase(watched, (db) => {
      db.exec('BEGIN; UPDATE t SET b = randomblob(20000); INSERT INTO t(b) VALUES (1); COMMIT');
    });
    expect(images.length).toBeGreaterThan(10);
    const counts = images.map((image) =>
      withDatabase(arrayDisk(image), (db) => {
        expect(db.selectValue('PRAGMA integrity_check')).toBe('ok');
        return db.selectValue('SELECT count(*) FROM t');
      }),
    );
    expect(new Set(counts)).toEqual(new Set([1, 2]));
    expect(counts).toEqual(counts.toSorted());
  });

  it('says that the database is full at the end of its extent', () => {
    withDatabase(arrayDisk(new Uint8Array(SIZE)), (db) => {
      db.exec('CREATE TABLE t(b BLOB)');
      expect(() => db.exec('INSERT INTO t VALUES (randomblob(4000000))')).toThrow(/full/i);
      expect(db.selectValue('PRAGMA integrity_check')).toBe('ok');
    });
  });

  it('passes a disk error on as an I/O error', () => {
    const disk = arrayDisk(new Uint8Array(SIZE));
    let broken = false;
    const failing: Disk = { ...disk, write: (at, from) => (broken ? -5 : disk.write(at, from)) };
    withDatabase(failing, (db) => {
      db.exec('CREATE TABLE t(a)');
      broken = true;
      expect(() => db.exec('INSERT INTO t VALUES (1)')).toThrow(/I\/O error/i);
      broken = false;
    });
  });
});

describe('a volume', () => {
  it('gathers writes that follow each other, until they are read, synced, or closed', () => {
    const writes: number[] = [];
    const disk = arrayDisk(new Uint8Array(SIZE));
    const volume = new Volume({
      ...disk,
      write: (offset, from) => {
        writes.push(from.length);
        return disk.write(offset, from);
      },
    });
    const { journal } = volume;
    const put = (...offsets: number[]): number[] => {
      for (const offset of offsets) volume.write(journal, offset, new Uint8Array(4).fill(7));
      return writes.splice(0);
    };
    writes.length = 0;
    const back = new Uint8Array(12);
    put(0, 4, 8);
    expect(volume.read(journal, 0, back)).toBe(12);
    expect(back.every((byte) => byte === 7)).toBe(true);
    expect(writes.splice(0)).toEqual([12]);
    expect(put(12, 16, 24)).toEqual([8]);
    volume.settle();
    expect(writes.splice(0)).toEqual([4]);
    put(28, 32);
    volume.sync();
    expect(writes.splice(0)).toEqual([8, SUPERBLOCK_SIZE]);
    volume.write(journal, 0, new Uint8Array(70_000));
    expect(writes).toEqual([70_000]);
  });

  it('refuses an image that holds something else, and leaves it alone', () => {
    for (const at of [0, 1024, 4095]) {
      const bytes = new Uint8Array(SIZE);
      bytes[at] = 0xef;
      const before = bytes.slice();
      expect(() => new Volume(arrayDisk(bytes))).toThrow(ImageError);
      expect(bytes.every((byte, i) => byte === before[i])).toBe(true);
    }
  });

  it('refuses a damaged superblock and one of another size', () => {
    const line = encodeSuperblock(firstSuperblock(SIZE * 2));
    const bytes = new Uint8Array(SIZE);
    bytes.set(line);
    expect(() => new Volume(arrayDisk(bytes))).toThrow('it was made with 4194304 bytes');
    bytes[20] = 1;
    expect(() => new Volume(arrayDisk(bytes))).toThrow('damaged');
  });

  it('takes the newest whole superblock, wherever the power failed in the next', () => {
    for (const sequence of [1, 2, 0xffff_ffff, 0]) {
      const older = { ...firstSuperblock(SIZE), sequence, databaseSize: 4096 };
      const newer = { ...older, sequence: (sequence + 1) >>> 0, databaseSize: 8192 };
      const bytes = new Uint8Array(SUPERBLOCK_COPIES * SUPERBLOCK_SIZE);
      bytes.set(encodeSuperblock(older), superblockOffset(older.sequence));
      for (let stored = 0; stored < SUPERBLOCK_SIZE; stored += 8) {
        expect(decodeSuperblocks(bytes, SIZE)).toEqual(older);
        const word = encodeSuperblock(newer).subarray(stored, stored + 8);
        bytes.set(word, superblockOffset(newer.sequence) + stored);
      }
      expect(decodeSuperblocks(bytes, SIZE)).toEqual(newer);
    }
  });

  it('formats again what a power failure left of the first superblock, and nothing else', () => {
    const first = encodeSuperblock(firstSuperblock(SIZE));
    for (let stored = 0; stored < SUPERBLOCK_SIZE; stored += 8) {
      const bytes = new Uint8Array(SUPERBLOCK_COPIES * SUPERBLOCK_SIZE);
      bytes.set(first.subarray(0, stored));
      expect(decodeSuperblocks(bytes, SIZE)).toBe('blank');
      bytes[63] = 1;
      expect(decodeSuperblocks(bytes, SIZE)).toBe(stored === 0 ? 'foreign' : 'damaged');
    }
  });

  it('has extents that follow each other and fill the image', () => {
    const { superblock, canary, journal, database } = layoutOf(SIZE);
    const ends = [superblock, canary, journal, database].map(({ start, size }) => start + size);
    expect(ends).toEqual([canary.start, journal.start, database.start, SIZE]);
    expect(() => layoutOf(4096)).toThrow(RangeError);
  });
});
