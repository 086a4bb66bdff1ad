// SPDX-License-Identifier: MIT
// SQLite's transactions on a pmem device, and the power failing anywhere in them: recovery is by SQLite itself.

import {
  type CrashImage,
  crashPoint,
  crashPointsOf,
  memoryMedia,
  type PersistenceDomain,
  type PmemDevice,
  StoreLog,
  type StoreRecord,
} from '@pkslab/pmem';
import { LINE_SIZE } from '@pkslab/x86-cpu';
import type { Sqlite3Static } from '@sqlite.org/sqlite-wasm';
import { bootStack, loadSqlite } from '../src/index.ts';
import { Prng } from '../src/prng.ts';
import { arrayDisk, type Disk } from '../src/sqlite/disk.ts';
import { IMAGE_SIZE_MIN, layoutOf } from '../src/sqlite/layout.ts';
import { StackDisk } from '../src/sqlite/stack-disk.ts';
import { DATABASE_NAME, installVolumeVfs } from '../src/sqlite/vfs.ts';
import { Volume } from '../src/sqlite/volume.ts';

type Database = InstanceType<Sqlite3Static['oo1']['DB']>;

const sqlite3 = await loadSqlite();
const PRAGMAS = 'PRAGMA page_size=512; PRAGMA cache_size=8; PRAGMA journal_mode';
let opened = 0;

/** Transactions on a blank device: what was stored, and what the database held after each. */
export interface Recording {
  readonly log: StoreRecord;
  readonly physical: number;
  /** Contents after so many transactions; the first is of a device without a database. */
  readonly versions: readonly string[];
  /** Of each transaction, how many events there were before its begin and when its COMMIT returned. */
  readonly spans: readonly { readonly begun: number; readonly acknowledged: number }[];
}

export interface Recorded {
  readonly transactions: number;
  readonly seed: number;
  /** Not DELETE: SQLite does not sync the folder, so its last transaction may be rolled back. */
  readonly journalMode: 'TRUNCATE' | 'PERSIST';
  readonly sabotages?: readonly string[];
  /** Between the volume and the device. */
  readonly through?: (disk: Disk) => Disk;
}

/** Runs transactions; the first makes the table. Each of the others inserts, updates or deletes over some pages. */
export function record({
  transactions,
  seed,
  journalMode,
  sabotages = [],
  through,
}: Recorded): Recording {
  const stack = bootStack({ sabotages, pmem: [{ media: memoryMedia(IMAGE_SIZE_MIN) }] });
  const device = stack.devices[0] as PmemDevice;
  const log = new StoreLog(stack.kernel.machine.memory);
  const random = new Prng(seed);
  const versions = ['nothing'];
  const spans: { begun: number; acknowledged: number }[] = [];
  const disk = new StackDisk(stack, device, layoutOf(device.size).database);
  withDatabase(through?.(disk) ?? disk, (db) => {
    db.exec(`${PRAGMAS}=${journalMode}`);
    for (let i = 0; i < transactions; i++) {
      const begun = log.events.length;
      db.exec(i === 0 ? 'CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)' : statement(random));
      spans.push({ begun: i === 0 ? 0 : begun, acknowledged: log.events.length });
      versions.push(contents(db));
    }
  });
  log.detach();
  return { log, physical: device.physical, versions, spans };
}

function statement(random: Prng): string {
  const row = 1 + random.below(6);
  const bytes = Array.from({ length: 40 + random.below(1400) }, () =>
    random.below(256).toString(16).padStart(2, '0'),
  );
  const blob = `x'${bytes.join('')}'`;
  const changes = [
    `INSERT INTO t(b) VALUES (${blob})`,
    `INSERT OR REPLACE INTO t VALUES (${row}, ${blob})`,
    `INSERT INTO t(b) VALUES (${blob}); UPDATE t SET b = ${blob} WHERE a = ${row}`,
    `INSERT INTO t(b) VALUES (${blob}); DELETE FROM t WHERE a = ${row}`,
  ];
  return `BEGIN; ${changes[random.below(changes.length)]}; COMMIT`;
}

function withDatabase<T>(disk: Disk, use: (db: Database) => T): T {
  const vfs = installVolumeVfs(sqlite3, new Volume(disk), `crash-${opened++}`, 1);
  const db = new sqlite3.oo1.DB({ filename: DATABASE_NAME, vfs: vfs.name });
  try {
    return use(db);
  } finally {
    db.close();
    vfs.dispose();
  }
}

function contents(db: Database): string {
  if (db.selectValue('SELECT count(*) FROM sqlite_schema') === 0) return 'nothing';
  return String(
    db.selectValue("SELECT 'rows:' || ifnull(group_concat(a || '=' || hex(b)), '') FROM t"),
  );
}

export interface CrashSearch {
  readonly domain: PersistenceDomain;
  /** Points with at most so many images are looked at whole. */
  readonly bound: number;
  /** Of the others, so many images by chance, besides the extreme ones. */
  readonly samples: number;
  readonly seed: number;
  /** Of an eADR search: every how many events. */
  readonly every?: number;
  /** Stops after the first complaint. */
  readonly untilFirst?: boolean;
}

export interface CrashFindings {
  points: number;
  /** Points of which every image was looked at. */
  whole: number;
  images: number;
  before: number;
  after: number;
  readonly complaints: string[];
}

/** Lets SQLite recover from the images that a power failure may leave. */
export function crash(
  { log, physical, versions, spans }: Recording,
  search: CrashSearch,
): CrashFindings {
  const found: CrashFindings = {
    points: 0,
    whole: 0,
    images: 0,
    before: 0,
    after: 0,
    complaints: [],
  };
  const random = new Prng(search.seed);
  const bytes = new Uint8Array(IMAGE_SIZE_MIN);
  const stop = search.untilFirst === true;
  for (const { safe, end } of stretches({ log, spans }, search)) {
    if (stop && found.complaints.length > 0) break;
    const fewest = spans.filter(({ acknowledged }) => acknowledged <= safe).length;
    const most = spans.filter(({ begun }) => begun < end).length;
    const point = crashPoint(log, end, search.domain);
    const visit = (image: CrashImage): void => {
      if (stop && found.complaints.length > 0) return;
      found.images++;
      const state = recover(lay(image, physical, bytes));
      const version = versions.indexOf(state, fewest);
      if (version === fewest && fewest < most) found.before++;
      else if (version >= 0 && version <= most) found.after++;
      else
        found.complaints.push(
          `after ${end} events, with ${fewest} to ${most} transactions: ${state.slice(0, 100)}`,
        );
    };
    found.points++;
    if (point.states <= search.bound) {
      found.whole++;
      point.forEachImage(search.bound, visit);
    } else point.sampleImages(search.samples, (limit) => random.below(limit), visit);
  }
  return found;
}

/** A crash somewhere in a stretch of events: what was acknowledged by `safe` must have lasted. */
interface Stretch {
  readonly safe: number;
  readonly end: number;
}

/** From fence to fence, and where a transaction was acknowledged: that one must have lasted there. */
function stretches(
  { log, spans }: Pick<Recording, 'log' | 'spans'>,
  { domain, every = 1 }: CrashSearch,
): readonly Stretch[] {
  if (domain === 'eadr') {
    const ends: number[] = [];
    for (let at = 0; at < log.events.length; at += every) ends.push(at);
    ends.push(log.events.length);
    return ends.map((end) => ({ safe: end, end }));
  }
  const ends = crashPointsOf(log);
  return [
    ...ends.map((end, i) => ({ safe: i === 0 ? 0 : (ends[i - 1] as number) + 1, end })),
    ...spans.map(({ acknowledged }) => ({ safe: acknowledged, end: acknowledged })),
  ].sort((one, other) => one.end - other.end);
}

/** The whole device: it was blank before. */
function lay(image: CrashImage, physical: number, bytes: Uint8Array): Uint8Array {
  bytes.fill(0);
  for (const [line, content] of image) bytes.set(content, line * LINE_SIZE - physical);
  return bytes;
}

/** What SQLite finds, or what it says. */
function recover(bytes: Uint8Array): string {
  try {
    return withDatabase(arrayDisk(bytes), (db) => {
      const found = contents(db);
      const integrity = String(db.selectValue('PRAGMA integrity_check'));
      return integrity === 'ok' ? found : `damaged: ${integrity}`;
    });
  } catch (error) {
    return `unusable: ${error}`;
  }
}

/** The same log without one of its fences. */
export function withoutFence(recording: Recording, fence: number): Recording {
  const { events, before } = recording.log;
  const fences = events.flatMap((event, at) => (event.kind === 'fence' ? [at] : []));
  const gone = fences[fence] as number;
  const shift = (at: number): number => (at > gone ? at - 1 : at);
  return {
    ...recording,
    log: { events: events.filter((_, at) => at !== gone), before },
    spans: recording.spans.map(({ begun, acknowledged }) => ({
      begun: shift(begun),
      acknowledged: shift(acknowledged),
    })),
  };
}

/** Of each fence of one transaction its number, and what was stored since the one before. */
export function fencesOfTransaction(
  { log, physical, spans }: Recording,
  transaction: number,
): readonly { readonly fence: number; readonly stored: string }[] {
  const { begun, acknowledged } = spans[transaction] as Recording['spans'][number];
  const found: { fence: number; stored: string }[] = [];
  let parts = new Set<string>();
  let fence = 0;
  for (const [at, event] of log.events.entries()) {
    if (event.kind === 'store') parts.add(partOf(event.line * LINE_SIZE - physical));
    if (event.kind !== 'fence') continue;
    const stored = [...parts].join(', ');
    if (at >= begun && at < acknowledged) found.push({ fence, stored });
    parts = new Set();
    fence++;
  }
  return found;
}

function partOf(offset: number): string {
  const layout = layoutOf(IMAGE_SIZE_MIN);
  if (offset === layout.journal.start) return 'journal header';
  const parts = ['superblock', 'canary', 'journal', 'database'] as const;
  return parts.findLast((part) => offset >= layout[part].start) ?? 'nowhere';
}

/** How many fences a recording has. */
export function fencesOf({ log }: Recording): number {
  return log.events.filter(({ kind }) => kind === 'fence').length;
}

/** One line for the log of a test. */
export function summary(journal: string, { domain }: CrashSearch, found: CrashFindings): string {
  const { points, whole, images, before, after, complaints } = found;
  return `power failures in SQLite, ${journal} journal, ${domain.toUpperCase()}: ${points} points, ${whole} of them whole; ${images} images: ${before} before, ${after} after, ${complaints.length} between`;
}
