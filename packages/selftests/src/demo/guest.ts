// SPDX-License-Identifier: MIT
// The guest: SQLite and its workload, on a pmem device of the stack.

import { Deadlock, KernelPanic } from '@pkslab/kernel';
import type { PmemDevice } from '@pkslab/pmem';
import type { Sqlite3Static } from '@sqlite.org/sqlite-wasm';
import type { Disk } from '../sqlite/disk.ts';
import { type Layout, layoutOf } from '../sqlite/layout.ts';
import { StackDisk } from '../sqlite/stack-disk.ts';
import { DATABASE_NAME, installVolumeVfs, type VolumeVfs } from '../sqlite/vfs.ts';
import { Volume } from '../sqlite/volume.ts';
import type { Stack } from '../stack.ts';
import { holdsRows, Workload } from './workload.ts';
import { loggedDisk, type WriteLog } from './write-log.ts';

type Database = InstanceType<Sqlite3Static['oo1']['DB']>;

export interface GuestOptions {
  readonly sqlite3: Sqlite3Static;
  readonly seed: number;
  readonly log: WriteLog;
}

/** What the guest found when all was done. */
export interface GuestFindings {
  readonly integrityCheck: string;
  readonly contentOk: boolean;
  readonly wrongReads: number;
  readonly rows: number;
  readonly bytesWritten: number;
}

const ROWS_MAX = 2000;
/** Room in the database's extent that a row takes at most, its share of the index included. */
const ROW_SIZE = 2500;

export class Guest {
  readonly device: PmemDevice;
  readonly layout: Layout;
  readonly #stack: Stack;
  readonly #options: GuestOptions;
  readonly #disk: Disk;
  #vfs: VolumeVfs | null = null;
  #db: Database | null = null;
  #workload: Workload | null = null;
  readonly #page: Uint8Array = new Uint8Array(4096);
  #bytesWritten = 0;
  #failure: string | null = null;

  constructor(stack: Stack, device: PmemDevice, options: GuestOptions) {
    this.#stack = stack;
    this.#options = options;
    this.device = device;
    this.layout = layoutOf(device.size);
    const counted: WriteLog = {
      append: (offset, bytes) => {
        this.#bytesWritten += bytes.length;
        options.log.append(offset, bytes);
      },
    };
    this.#disk = loggedDisk(new StackDisk(stack, device, this.layout.database), counted);
  }

  /** Why the kernel cannot go on, if so. */
  get kernelFailure(): string | null {
    const failure = this.#vfs?.failure() ?? null;
    const fatal = failure instanceof KernelPanic || failure instanceof Deadlock;
    return this.#failure ?? (fatal ? String(failure) : null);
  }

  start(): void {
    this.#open();
    const rowsMax = Math.min(ROWS_MAX, Math.floor(this.layout.database.size / ROW_SIZE));
    this.#workload = new Workload(this.#db as Database, this.#options.seed, rowsMax);
  }

  #open(): void {
    const { sqlite3, seed } = this.#options;
    const volume = new Volume(this.#disk);
    this.#vfs = installVolumeVfs(sqlite3, volume, freshName(sqlite3), seed);
    this.#db = new sqlite3.oo1.DB({ filename: DATABASE_NAME, vfs: this.#vfs.name });
  }

  /** Runs one transaction: null, or why it failed. */
  transaction(): string | null {
    const failedBefore = this.#vfs?.failure() !== null;
    try {
      this.#workload?.transaction();
      return null;
    } catch (error) {
      const cause = failedBefore ? null : this.#vfs?.failure();
      return cause === null || cause === undefined
        ? messageOf(error)
        : `${messageOf(error)} (${cause})`;
    }
  }

  /** Reads a page of the image, and no more: somewhere for stray writes to strike. */
  readPage(): void {
    this.#attempt(() => this.#disk.read(0, this.#page));
  }

  /** Closes the database, reads it again from the device, and flushes. */
  finish(): GuestFindings {
    const workload = this.#workload as Workload;
    let integrityCheck = 'not checked';
    let contentOk = false;
    try {
      this.#close();
      this.#open();
      const db = this.#db as Database;
      integrityCheck = integrityOf(db);
      contentOk = holdsRows(db, workload.model);
    } catch (error) {
      if (integrityCheck !== 'ok') integrityCheck = `cannot be read: ${messageOf(error)}`;
    }
    this.#attempt(() => {
      this.#close();
      this.#disk.flush();
    });
    const { wrongReads, model } = workload;
    return {
      integrityCheck,
      contentOk,
      wrongReads,
      rows: model.size,
      bytesWritten: this.#bytesWritten,
    };
  }

  #close(): void {
    this.#db?.close();
    this.#db = null;
    this.#vfs?.dispose();
    this.#vfs = null;
  }

  /** Takes the device away: what its caches still hold reaches the media. */
  detach(): void {
    this.#attempt(() => this.#stack.kernel.call(() => this.device.detach()));
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#failure ??= messageOf(error);
    }
  }
}

/** `ok`, or the first complaint: a line of its own names the database. */
function integrityOf(db: Database): string {
  const lines = String(db.selectValue('PRAGMA integrity_check')).split('\n');
  return lines.find((line) => !line.startsWith('***')) ?? 'no answer';
}

/** SQLite knows VFSes by name, for all of its lifetime. */
function freshName(sqlite3: Sqlite3Static): string {
  let number = 0;
  while (sqlite3.capi.sqlite3_vfs_find(`pmem-${number}`) !== 0) number++;
  return `pmem-${number}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
