// SPDX-License-Identifier: MIT
// Media in a file of the host.

import {
  closeSync,
  constants,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { totalmem } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { INFO_BLOCK_OFFSET } from '../info-block.ts';
import type { Media } from '../media.ts';
import { type ImageLock, isUnwritable, lockImage, lockImageToRead } from './image-lock.ts';
import { hostCode, MediaError } from './media-error.ts';

const PAGE = 4096;
const SOMEBODY_MAY_WRITE = 0o222;

export interface FileMediaOptions {
  /** Makes the file, sparse, with this many bytes if there is none; a multiple of 4096. */
  readonly create?: number;
  /** Opens a file that may not be written to; default no. */
  readonly readOnly?: boolean;
}

/**
 * Media in a file. What was written back and fenced is in the file, and there to stay if this process dies;
 * what was flushed is on the disk, and there to stay if the power fails.
 *
 * @example
 * const media = openFileMedia('disk.img', { create: 64 * 2 ** 20 });
 * media.write(4096, bytes);
 * media.flush();
 * media.close();
 */
export class FileMedia implements Media {
  readonly path: string;
  readonly size: number;
  readonly readOnly: boolean;
  #fd: number;
  readonly #lock: ImageLock;

  /** Prefer {@link openFileMedia}. */
  constructor(path: string, size: number, readOnly: boolean, fd: number, lock: ImageLock) {
    this.path = path;
    this.size = size;
    this.readOnly = readOnly;
    this.#fd = fd;
    this.#lock = lock;
  }

  /** Whether others are kept out: `IMAGE.lock` cannot be made in a folder that may not be written to. */
  get locked(): boolean {
    return this.#lock.taken;
  }

  /** @throws {MediaError} `closed`, or `host` if the file cannot be read. */
  read(offset: number, into: Uint8Array): void {
    const fd = this.#open();
    for (let done = 0; done < into.length; ) {
      const count = this.#host('read', () =>
        readSync(fd, into, done, into.length - done, offset + done),
      );
      if (count === 0) {
        throw new MediaError(
          'host',
          this.path,
          `ends at byte ${offset + done}, short of its ${this.size}; another program has cut it: restore it from a copy`,
        );
      }
      done += count;
    }
  }

  /** @throws {MediaError} `closed`, `readOnly`, or `host` if the file cannot be written. */
  write(offset: number, bytes: Uint8Array): void {
    const fd = this.#open();
    if (this.readOnly) throw opened(this.path);
    for (let done = 0; done < bytes.length; ) {
      done += this.#host('write', () =>
        writeSync(fd, bytes, done, bytes.length - done, offset + done),
      );
    }
  }

  /** fdatasync. @throws {MediaError} `closed`, or `host` if the host cannot say that it is on the disk. */
  flush(): void {
    const fd = this.#open();
    if (!this.readOnly) this.#host('sync', () => fdatasyncSync(fd));
  }

  /** Closes the file and removes its lock; may be called again. Nothing is written. */
  close(): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
    this.#lock.release();
  }

  #open(): number {
    if (this.#fd < 0) throw new MediaError('closed', this.path, 'was closed; open it again');
    return this.#fd;
  }

  #host<T>(what: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw new MediaError('host', this.path, `cannot ${what} it (${hostCode(error)})`, error);
    }
  }
}

/**
 * Opens an image for a pmem device, for this process alone (`IMAGE.lock` beside it). To read only, it is enough
 * that nobody else has it: where no lock can be made, there is none, and `locked` is false.
 *
 * @throws {MediaError} see its `code`; the image is then as it was, and no lock is left.
 * @example
 * const media = openFileMedia('disk.img', { create: 64 * 2 ** 20 });
 * kernel.call(() => kernel.module(pmem).attachDisk({ media }));
 * media.close();
 */
export function openFileMedia(path: string, options: FileMediaOptions = {}): FileMedia {
  const { create, readOnly = false } = options;
  if (create !== undefined) checkSize(path, create, 'create');
  const real = realPath(path);
  if (create === undefined || exists(real)) check(path, real, readOnly);
  const lock = readOnly ? lockImageToRead(real) : lockImage(real);
  try {
    if (create !== undefined && !exists(real)) makeFile(path, real, create);
    const { size } = check(path, real, readOnly);
    const mode = readOnly ? constants.O_RDONLY : constants.O_RDWR;
    return new FileMedia(path, size, readOnly, openHost(path, real, mode), lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

/**
 * Makes a new image, all zero and sparse: it takes disk space only where something is written.
 *
 * @param infoBlock what is to stand at {@link INFO_BLOCK_OFFSET}: see `encodeInfoBlock`. A crash while the image is
 * made leaves no file of its full size without it.
 * @throws {MediaError} `exists`, `size`, `missing` (the folder), or `host`; there is no new file then.
 * @example
 * createImage('disk.img', 64 * 2 ** 20);
 */
export function createImage(path: string, size: number, infoBlock?: Uint8Array): void {
  checkSize(path, size, 'size');
  const real = realPath(path);
  if (exists(real)) throw alreadyThere(path);
  makeFile(path, real, size, infoBlock);
}

/**
 * Half of the host's memory, in bytes: how much of pmem stays in memory unless the user says otherwise.
 *
 * @example
 * kernel.machine.memory.residentLimit = residentChunksFor(defaultPmemLimit());
 */
export function defaultPmemLimit(): number {
  const constrained = process.constrainedMemory?.() ?? 0;
  const total = totalmem();
  const memory = constrained > 0 && constrained < total ? constrained : total;
  return Math.floor(memory / 2);
}

function makeFile(path: string, real: string, size: number, infoBlock?: Uint8Array): void {
  const fd = openHost(path, real, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL);
  try {
    // As long as the file is shorter than the block says, the block is of no use to anybody.
    if (infoBlock !== undefined) {
      const written = writeSync(fd, infoBlock, 0, infoBlock.length, INFO_BLOCK_OFFSET);
      if (written < infoBlock.length) throw new Error('the disk is full');
      fsyncSync(fd);
    }
    ftruncateSync(fd, size);
    fsyncSync(fd);
  } catch (error) {
    unlinkSync(real);
    throw new MediaError('host', path, `cannot give it ${size} bytes (${hostCode(error)})`, error);
  } finally {
    closeSync(fd);
  }
}

function openHost(path: string, real: string, flags: number): number {
  try {
    return openSync(real, flags, 0o644);
  } catch (error) {
    const code = hostCode(error);
    if (code === 'ENOENT') throw missing(path);
    if (code === 'EEXIST') throw alreadyThere(path);
    if (isUnwritable(error)) throw notPermitted(path, flags, error);
    throw new MediaError('host', path, `cannot open it (${code})`, error);
  }
}

/** Where the file is once links are followed, so that all its names share one lock. */
function realPath(path: string): string {
  if (path === '') throw new MediaError('missing', path, 'has no name; name an image file');
  try {
    return realpathSync(path);
  } catch (error) {
    if (hostCode(error) !== 'ENOENT')
      throw new MediaError('host', path, `cannot find it (${hostCode(error)})`, error);
  }
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    throw new MediaError('missing', path, `there is no folder ${dirname(path)}; make it first`);
  }
}

function exists(real: string): boolean {
  return statSync(real, { throwIfNoEntry: false }) !== undefined;
}

function check(path: string, real: string, readOnly: boolean): Stats {
  const stats = statSync(real, { throwIfNoEntry: false });
  if (stats === undefined) throw missing(path);
  if (!stats.isFile()) throw new MediaError('notAFile', path, 'is not a file; name an image file');
  checkSize(path, stats.size, 'its size is');
  // Root may write to any file: what the owner marked read-only is left alone all the same.
  if (!readOnly && (stats.mode & SOMEBODY_MAY_WRITE) === 0) throw notWritable(path);
  return stats;
}

function checkSize(path: string, size: number, what: string): void {
  if (Number.isSafeInteger(size) && size > 0 && size % PAGE === 0) return;
  throw new MediaError(
    'size',
    path,
    `${what} ${size}, not a positive multiple of ${PAGE} bytes; give it ${Math.max(PAGE, Math.ceil(size / PAGE) * PAGE || PAGE)}`,
  );
}

function missing(path: string): MediaError {
  return new MediaError(
    'missing',
    path,
    'there is no such file; make it with createImage(path, size) or open it with { create: size }',
  );
}

function alreadyThere(path: string): MediaError {
  return new MediaError('exists', path, 'is there already; open it, or choose another name');
}

/** Why a file may not be opened, by what it was opened for. */
function notPermitted(path: string, flags: number, cause: unknown): MediaError {
  if ((flags & constants.O_CREAT) !== 0) {
    const what = `cannot make it (${hostCode(cause)}); choose a folder that you may write to`;
    return new MediaError('host', path, what, cause);
  }
  if ((flags & constants.O_RDWR) !== 0) return notWritable(path, cause);
  return new MediaError('host', path, 'may not be read; chmod u+r it', cause);
}

function notWritable(path: string, cause?: unknown): MediaError {
  return new MediaError(
    'readOnly',
    path,
    'may not be written to; chmod u+w it, or open it with { readOnly: true }',
    cause,
  );
}

function opened(path: string): MediaError {
  return new MediaError('readOnly', path, 'was opened read-only; open it without readOnly');
}
