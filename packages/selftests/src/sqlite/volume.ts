// SPDX-License-Identifier: MIT
// The two files that SQLite keeps, on a disk: a database and its rollback journal.

import type { Disk } from './disk.ts';
import {
  decodeSuperblocks,
  encodeSuperblock,
  firstSuperblock,
  type ImageExtent,
  type Layout,
  layoutOf,
  SUPERBLOCK_COPIES,
  SUPERBLOCK_SIZE,
  superblockOffset,
} from './layout.ts';

/** The image cannot be used: it is not one, or it is damaged. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
}

/** An operation on the disk failed. */
class DiskError extends Error {
  override readonly name = 'DiskError';
  readonly errno: number;

  constructor(what: string, errno: number) {
    super(`${what}: errno ${errno}`);
    this.errno = errno;
  }
}

/** No room in the extent of a file. */
export class ExtentFull extends Error {
  override readonly name = 'ExtentFull';
}

const GATHERED_MAX: number = 64 * 1024;

/** A file of the volume: its bytes are durable at `sync`, its size with them. */
export interface VolumeFile {
  readonly extent: ImageExtent;
  size: number;
  exists: boolean;
}

export class Volume {
  readonly layout: Layout;
  readonly database: VolumeFile;
  readonly journal: VolumeFile;
  readonly #disk: Disk;
  /** Writes that follow each other, until something else is asked for. */
  readonly #gathered: Uint8Array = new Uint8Array(GATHERED_MAX);
  #gatheredAt = 0;
  #gatheredLength = 0;
  /** Of the newest superblock on the disk. */
  #sequence = 0;
  #sizesChanged = false;

  /** @throws {ImageError} if the disk holds something else. */
  constructor(disk: Disk) {
    this.#disk = disk;
    this.layout = layoutOf(disk.size);
    this.database = { extent: this.layout.database, size: 0, exists: true };
    this.journal = { extent: this.layout.journal, size: 0, exists: false };
    const copies = new Uint8Array(SUPERBLOCK_COPIES * SUPERBLOCK_SIZE);
    check('read of the superblock', disk.read(0, copies));
    const values = decodeSuperblocks(copies, disk.size);
    if (values === 'blank') this.#format();
    else if (values === 'foreign') {
      throw new ImageError('it holds something else than a pkslab volume');
    } else if (values === 'damaged') {
      throw new ImageError('its superblock is damaged');
    } else {
      if (values.imageSize !== disk.size) {
        throw new ImageError(`it was made with ${values.imageSize} bytes and has ${disk.size}`);
      }
      this.#sequence = values.sequence;
      this.database.size = values.databaseSize;
      this.journal.size = values.journalSize;
      this.journal.exists = values.journalExists;
    }
  }

  #format(): void {
    const page = new Uint8Array(this.layout.superblock.size);
    check('read of the first page', this.#disk.read(0, page));
    if (page.subarray(SUPERBLOCK_COPIES * SUPERBLOCK_SIZE).some((byte) => byte !== 0)) {
      throw new ImageError('its first page is in use');
    }
    this.#sizesChanged = true;
    this.sync();
  }

  /** Reads up to `into.length` bytes; how many the file had. The rest is zeroed. */
  read(file: VolumeFile, offset: number, into: Uint8Array): number {
    const length = Math.max(0, Math.min(into.length, file.size - offset));
    if (length > 0) {
      this.settle();
      const part = length === into.length ? into : into.subarray(0, length);
      check('read', this.#disk.read(file.extent.start + offset, part));
    }
    if (length < into.length) into.fill(0, length);
    return length;
  }

  /** @throws {ExtentFull} past the end of the file's extent. */
  write(file: VolumeFile, offset: number, from: Uint8Array): void {
    const end = offset + from.length;
    if (end > file.extent.size) throw new ExtentFull(`${file.extent.size} bytes are full`);
    this.#gather(file.extent.start + offset, from);
    if (end > file.size) this.setSize(file, end);
  }

  setSize(file: VolumeFile, size: number): void {
    this.#sizesChanged ||= file.size !== size;
    file.size = size;
  }

  setExists(file: VolumeFile, exists: boolean): void {
    this.#sizesChanged ||= file.exists !== exists;
    file.exists = exists;
    if (!exists) this.setSize(file, 0);
  }

  /** SQLite writes a journal in pieces of a few bytes: they reach the disk as one. */
  #gather(at: number, from: Uint8Array): void {
    const follows = at === this.#gatheredAt + this.#gatheredLength;
    if (!follows || this.#gatheredLength + from.length > GATHERED_MAX) this.settle();
    if (from.length > GATHERED_MAX) {
      check('write', this.#disk.write(at, from));
      return;
    }
    if (this.#gatheredLength === 0) this.#gatheredAt = at;
    this.#gathered.set(from, this.#gatheredLength);
    this.#gatheredLength += from.length;
  }

  /** Passes on what was gathered: when a file is closed without a sync. */
  settle(): void {
    const length = this.#gatheredLength;
    if (length === 0) return;
    this.#gatheredLength = 0;
    check('write', this.#disk.write(this.#gatheredAt, this.#gathered.subarray(0, length)));
  }

  /** Makes contents durable, and then sizes: a size never covers bytes that were not there. */
  sync(): void {
    this.settle();
    check('flush', this.#disk.flush());
    if (!this.#sizesChanged) return;
    this.#sequence = (this.#sequence + 1) >>> 0;
    const line = encodeSuperblock({
      ...firstSuperblock(this.#disk.size),
      databaseSize: this.database.size,
      journalSize: this.journal.size,
      journalExists: this.journal.exists,
      sequence: this.#sequence,
    });
    check('write of the superblock', this.#disk.write(superblockOffset(this.#sequence), line));
    check('flush', this.#disk.flush());
    this.#sizesChanged = false;
  }
}

function check(what: string, result: number): void {
  if (result < 0) throw new DiskError(what, result);
}
