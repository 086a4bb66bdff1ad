// SPDX-License-Identifier: MIT
// The log of everything that SQLite wrote: what the image must hold afterwards, and nothing else.

import type { Disk } from '../sqlite/disk.ts';
import type { ImageExtent } from '../sqlite/layout.ts';

/** Receives each write as it is made. */
export interface WriteLog {
  append(offset: number, bytes: Uint8Array): void;
}

const HEADER_SIZE = 12; // offset: float64, length: uint32, both little-endian

/** The bytes of one record of a log. */
export function encodeRecord(offset: number, bytes: Uint8Array): Uint8Array {
  const record = new Uint8Array(HEADER_SIZE + bytes.length);
  const view = new DataView(record.buffer);
  view.setFloat64(0, offset, true);
  view.setUint32(8, bytes.length, true);
  record.set(bytes, HEADER_SIZE);
  return record;
}

/** Applies the records of a log to an image; the log comes in pieces of any size. */
export class LogReplay {
  readonly #image: Uint8Array;
  #rest: Uint8Array = new Uint8Array(0);
  /** Records applied. */
  writes = 0;

  constructor(image: Uint8Array) {
    this.#image = image;
  }

  push(piece: Uint8Array): void {
    const bytes = new Uint8Array(this.#rest.length + piece.length);
    bytes.set(this.#rest);
    bytes.set(piece, this.#rest.length);
    const view = new DataView(bytes.buffer);
    let at = 0;
    while (at + HEADER_SIZE <= bytes.length) {
      const end = at + HEADER_SIZE + view.getUint32(at + 8, true);
      if (end > bytes.length) break;
      this.#image.set(bytes.subarray(at + HEADER_SIZE, end), view.getFloat64(at, true));
      this.writes++;
      at = end;
    }
    this.#rest = bytes.slice(at);
  }

  /** @throws {RangeError} if the log ended within a record. */
  end(): void {
    if (this.#rest.length > 0)
      throw new RangeError(`the log ends within its record ${this.writes}`);
  }
}

/** How an image differs from what it should be. */
export interface ImageDifference {
  readonly compared: number;
  readonly different: number;
  /** Offsets of the first bytes that differ. */
  readonly first: readonly number[];
}

const FIRST = 16;

/** Compares every byte outside an extent. */
export function compareImages(
  actual: Uint8Array,
  expected: Uint8Array,
  except: ImageExtent,
): ImageDifference {
  const first: number[] = [];
  let compared = 0;
  let different = 0;
  for (let i = 0; i < expected.length; i++) {
    if (i === except.start) i += except.size;
    compared++;
    if (actual[i] === expected[i]) continue;
    different++;
    if (first.length < FIRST) first.push(i);
  }
  return { compared, different, first };
}

/** A disk whose writes are logged once they are done. */
export function loggedDisk(disk: Disk, log: WriteLog): Disk {
  return {
    size: disk.size,
    read: (offset, into) => disk.read(offset, into),
    write(offset, from) {
      const status = disk.write(offset, from);
      if (status >= 0) log.append(offset, from);
      return status;
    },
    flush: () => disk.flush(),
  };
}
