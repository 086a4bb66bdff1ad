// SPDX-License-Identifier: MIT
// Media in host memory, for tests and for devices that nobody wants to keep.

import type { Media } from './media.ts';

const EXTENT_SIZE: number = 64 * 1024;

/** What has been done to media since they were made. */
export interface MediaCounters {
  reads: number;
  writes: number;
  flushes: number;
  bytesRead: number;
  bytesWritten: number;
}

/** Media in host memory: zero until written, and nothing is allocated before. */
export class MemoryMedia implements Media {
  readonly size: number;
  readonly counters: MediaCounters = {
    reads: 0,
    writes: 0,
    flushes: 0,
    bytesRead: 0,
    bytesWritten: 0,
  };
  readonly #extents = new Map<number, Uint8Array>();

  /** Prefer {@link memoryMedia}. */
  constructor(size: number) {
    this.size = size;
  }

  /** Bytes of host memory that the contents take. */
  get allocatedBytes(): number {
    return this.#extents.size * EXTENT_SIZE;
  }

  read(offset: number, into: Uint8Array): void {
    this.#check(offset, into.length);
    this.counters.reads++;
    this.counters.bytesRead += into.length;
    for (let done = 0; done < into.length; ) {
      const within = (offset + done) % EXTENT_SIZE;
      const part = Math.min(into.length - done, EXTENT_SIZE - within);
      const extent = this.#extents.get(Math.floor((offset + done) / EXTENT_SIZE));
      if (extent === undefined) into.fill(0, done, done + part);
      else into.set(extent.subarray(within, within + part), done);
      done += part;
    }
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#check(offset, bytes.length);
    this.counters.writes++;
    this.counters.bytesWritten += bytes.length;
    for (let done = 0; done < bytes.length; ) {
      const within = (offset + done) % EXTENT_SIZE;
      const part = Math.min(bytes.length - done, EXTENT_SIZE - within);
      const run = part === bytes.length ? bytes : bytes.subarray(done, done + part);
      this.#extent(Math.floor((offset + done) / EXTENT_SIZE)).set(run, within);
      done += part;
    }
  }

  flush(): void {
    this.counters.flushes++;
  }

  close(): void {}

  #extent(index: number): Uint8Array {
    let extent = this.#extents.get(index);
    if (extent === undefined) {
      extent = new Uint8Array(EXTENT_SIZE);
      this.#extents.set(index, extent);
    }
    return extent;
  }

  #check(offset: number, length: number): void {
    if (offset < 0 || offset + length > this.size) {
      throw new RangeError(
        `media: ${length} bytes at ${offset} are not within the ${this.size} bytes that there are`,
      );
    }
  }
}

/**
 * Media of `size` bytes in host memory, all zero.
 *
 * Memory is taken where something is written, so a device of many GiB costs nothing until used.
 *
 * @throws {RangeError} if the size is not a positive multiple of 4096.
 * @example
 * const media = memoryMedia(16 * 2 ** 30);
 * media.allocatedBytes; // => 0
 */
export function memoryMedia(size: number): MemoryMedia {
  if (!Number.isSafeInteger(size) || size <= 0 || size % 4096 !== 0) {
    throw new RangeError(`memoryMedia: size ${size}; give a positive multiple of 4096`);
  }
  return new MemoryMedia(size);
}
