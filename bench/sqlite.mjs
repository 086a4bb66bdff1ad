// SQLite's transactions on a protected pmem device, against the same VFS over a bare array.

import { memoryMedia } from '@pkslab/pmem';
import {
  arrayDisk,
  bootStack,
  DATABASE_NAME,
  installVolumeVfs,
  layoutOf,
  loadSqlite,
  StackDisk,
  Volume,
} from '@pkslab/selftests';
import { timePair } from './measure.mjs';

const SIZE = 16 * 1024 * 1024;
const ROWS = 2000;
const ROUNDS = 41;
/** Transactions in one round. */
const COUNT = 100;
const LEAST = 0.8;

/** Rows of the SQLite benchmark. */
export async function sqliteBenchmarks() {
  const sqlite3 = await loadSqlite();
  const { a, b, ratio } = timePair(
    transactions(sqlite3, 'pmem', pmemDisk()),
    transactions(sqlite3, 'array', arrayDisk(new Uint8Array(SIZE))),
    COUNT,
    ROUNDS,
  );
  // Transactions a second: the inverse of time.
  return [
    {
      name: 'SQLite transactions a second, over pmem / over an array',
      a,
      b,
      ratio: 1 / ratio,
      limit: LEAST,
      atLeast: true,
      ok: 1 / ratio >= LEAST,
    },
  ];
}

function pmemDisk() {
  const stack = bootStack({ pmem: [{ media: memoryMedia(SIZE) }] });
  return new StackDisk(stack, stack.devices[0], layoutOf(SIZE).database);
}

/** Each replaces a row of some 500 bytes, in a table of 2000, and is durable when it returns. */
function transactions(sqlite3, name, disk) {
  const vfs = installVolumeVfs(sqlite3, new Volume(disk), name, 1);
  const db = new sqlite3.oo1.DB({ filename: DATABASE_NAME, vfs: vfs.name });
  db.exec(
    'PRAGMA page_size=4096; PRAGMA journal_mode=PERSIST; CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)',
  );
  db.exec('BEGIN');
  const put = db.prepare('INSERT OR REPLACE INTO t VALUES (?, ?)');
  const row = new Uint8Array(500).fill(1);
  const store = (id) => put.bind([id, row]).stepReset();
  for (let id = 0; id < ROWS; id++) store(id);
  db.exec('COMMIT');
  let x = 2463534242;
  return (count) => {
    for (let i = 0; i < count; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      row[i % row.length] = x;
      store((x >>> 0) % ROWS);
    }
  };
}
