// SPDX-License-Identifier: MIT
// How an image is divided: a superblock, a canary extent without data, a journal and a database.

/** A range of bytes of the image. */
export interface ImageExtent {
  readonly start: number;
  readonly size: number;
}

export interface Layout {
  readonly superblock: ImageExtent;
  /** Holds nothing: stores that no protection key can stop are aimed at it. */
  readonly canary: ImageExtent;
  readonly journal: ImageExtent;
  readonly database: ImageExtent;
}

/** Smallest image that holds a database. */
export const IMAGE_SIZE_MIN: number = 1024 * 1024;

const PAGE = 4096;

/**
 * The layout of an image of a given size; it depends on the size alone.
 *
 * @throws {RangeError} for a size below 1 MiB or one that is no multiple of 4 KiB.
 */
export function layoutOf(size: number): Layout {
  if (size < IMAGE_SIZE_MIN || size % PAGE !== 0) {
    throw new RangeError(
      `an image of ${size} bytes: it takes at least ${IMAGE_SIZE_MIN}, in multiples of ${PAGE}`,
    );
  }
  const superblock = { start: 0, size: PAGE };
  const canary = { start: PAGE, size: 16 * PAGE };
  const journal = { start: 17 * PAGE, size: Math.floor(size / 8 / PAGE) * PAGE };
  const start = journal.start + journal.size;
  return { superblock, canary, journal, database: { start, size: size - start } };
}

export interface SuperblockValues {
  readonly imageSize: number;
  readonly databaseSize: number;
  readonly journalSize: number;
  readonly journalExists: boolean;
}

/** Bytes of the superblock: one cache line, so that a store of it is all or nothing. */
export const SUPERBLOCK_SIZE = 64;

const MAGIC = 0x42_41_4c_53_4b_50_01_00n; // "PKSLAB" and the format's version

/** The superblock's bytes. */
export function encodeSuperblock(values: SuperblockValues): Uint8Array {
  const bytes = new Uint8Array(SUPERBLOCK_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, MAGIC, true);
  view.setFloat64(8, values.imageSize, true);
  view.setFloat64(16, values.databaseSize, true);
  view.setFloat64(24, values.journalSize, true);
  view.setUint32(32, values.journalExists ? 1 : 0, true);
  view.setUint32(60, checksum(bytes.subarray(0, 60)), true);
  return bytes;
}

/** The superblock's values, or why the bytes are not one. */
export function decodeSuperblock(
  bytes: Uint8Array,
): SuperblockValues | 'blank' | 'foreign' | 'damaged' {
  if (bytes.every((byte) => byte === 0)) return 'blank';
  const view = new DataView(bytes.buffer, bytes.byteOffset, SUPERBLOCK_SIZE);
  if (view.getBigUint64(0, true) !== MAGIC) return 'foreign';
  if (view.getUint32(60, true) !== checksum(bytes.subarray(0, 60))) return 'damaged';
  return {
    imageSize: view.getFloat64(8, true),
    databaseSize: view.getFloat64(16, true),
    journalSize: view.getFloat64(24, true),
    journalExists: view.getUint32(32, true) === 1,
  };
}

/** FNV-1a */
function checksum(bytes: Uint8Array): number {
  let hash = 0x811c_9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return hash >>> 0;
}
