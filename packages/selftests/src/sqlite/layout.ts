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
  if (!isImageSize(size)) {
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
  /** Counts the superblocks that were written; 32 bits. */
  readonly sequence: number;
}

/** Bytes of one copy of the superblock: a cache line. */
export const SUPERBLOCK_SIZE = 64;

/**
 * How many copies there are. A power failure may tear a line between any two words of 8 bytes, so each superblock
 * goes over the older copy, and the newer one stays whole.
 */
export const SUPERBLOCK_COPIES = 2;

const MAGIC = 0x42_41_4c_53_4b_50_02_00n; // "PKSLAB" and the format's version

/** What the superblocks of an image say: the newest whole one, or why there is none. */
export type SuperblockState = SuperblockValues | 'blank' | 'foreign' | 'damaged';

/** One copy's bytes. */
export function encodeSuperblock(values: SuperblockValues): Uint8Array {
  const bytes = new Uint8Array(SUPERBLOCK_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, MAGIC, true);
  view.setFloat64(8, values.imageSize, true);
  view.setFloat64(16, values.databaseSize, true);
  view.setFloat64(24, values.journalSize, true);
  view.setUint32(32, values.journalExists ? 1 : 0, true);
  view.setUint32(36, values.sequence, true);
  view.setUint32(60, checksum(bytes.subarray(0, 60)), true);
  return bytes;
}

/** The first superblock of an image: no files yet. */
export function firstSuperblock(imageSize: number): SuperblockValues {
  return { imageSize, databaseSize: 0, journalSize: 0, journalExists: false, sequence: 1 };
}

/** Where the copy with a sequence number lies. */
export function superblockOffset(sequence: number): number {
  return ((sequence + 1) % SUPERBLOCK_COPIES) * SUPERBLOCK_SIZE;
}

/** What the copies say. */
export function decodeSuperblocks(bytes: Uint8Array, imageSize: number): SuperblockState {
  const copies = Array.from({ length: SUPERBLOCK_COPIES }, (_, i) =>
    decodeCopy(bytes.subarray(i * SUPERBLOCK_SIZE, (i + 1) * SUPERBLOCK_SIZE)),
  );
  const whole = copies.filter((copy) => typeof copy !== 'string');
  if (whole.length > 0) return whole.reduce((a, b) => (isNewer(b, a) ? b : a));
  if (copies.every((copy) => copy === 'blank') || isTornFormat(bytes, imageSize)) return 'blank';
  return copies.includes('damaged') ? 'damaged' : 'foreign';
}

/**
 * What the first bytes of an image say about a volume on it: `none`, `sound`, or what is wrong.
 *
 * @param head at least the copies of the superblock
 */
export function volumeState(head: Uint8Array, imageSize: number): string {
  const state = decodeSuperblocks(head.subarray(0, SUPERBLOCK_COPIES * SUPERBLOCK_SIZE), imageSize);
  if (state === 'blank' || state === 'foreign') return 'none';
  if (state === 'damaged') return 'its superblock is damaged';
  if (state.imageSize === imageSize) return 'sound';
  return `it was made with ${state.imageSize} bytes and has ${imageSize}`;
}

/** Sequence numbers go round. */
function isNewer(a: SuperblockValues, b: SuperblockValues): boolean {
  return ((a.sequence - b.sequence) | 0) > 0;
}

function decodeCopy(bytes: Uint8Array): SuperblockState {
  if (bytes.every((byte) => byte === 0)) return 'blank';
  const view = new DataView(bytes.buffer, bytes.byteOffset, SUPERBLOCK_SIZE);
  if (view.getBigUint64(0, true) !== MAGIC) return 'foreign';
  if (view.getUint32(60, true) !== checksum(bytes.subarray(0, 60))) return 'damaged';
  const values = {
    imageSize: view.getFloat64(8, true),
    databaseSize: view.getFloat64(16, true),
    journalSize: view.getFloat64(24, true),
    journalExists: view.getUint32(32, true) === 1,
    sequence: view.getUint32(36, true),
  };
  return isPossible(values) ? values : 'damaged';
}

/** Whether files of these sizes fit into an image of that one. */
function isPossible({ imageSize, databaseSize, journalSize }: SuperblockValues): boolean {
  if (!isImageSize(imageSize)) return false;
  const { journal, database } = layoutOf(imageSize);
  const fits = (size: number, most: number): boolean =>
    Number.isInteger(size) && size >= 0 && size <= most;
  return fits(databaseSize, database.size) && fits(journalSize, journal.size);
}

function isImageSize(size: number): boolean {
  return Number.isSafeInteger(size) && size >= IMAGE_SIZE_MIN && size % PAGE === 0;
}

/** Whether the power failed while the very first superblock was written: there is nothing to lose yet. */
function isTornFormat(bytes: Uint8Array, imageSize: number): boolean {
  const values = firstSuperblock(imageSize);
  const first = new Uint8Array(SUPERBLOCK_COPIES * SUPERBLOCK_SIZE);
  first.set(encodeSuperblock(values), superblockOffset(values.sequence));
  let kept = first.length;
  while (kept > 0 && bytes[kept - 1] === 0) kept--;
  const torn = Math.ceil(kept / 8) * 8;
  return bytes.subarray(0, torn).every((byte, i) => byte === first[i]);
}

/** FNV-1a */
function checksum(bytes: Uint8Array): number {
  let hash = 0x811c_9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return hash >>> 0;
}
