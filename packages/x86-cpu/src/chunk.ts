// SPDX-License-Identifier: MIT
// A chunk of physical memory, and the range it belongs to.

/** Bytes of a chunk of physical memory. */
export const CHUNK_SIZE: number = 2 * 1024 * 1024;

/** Bytes of a cache line. */
export const LINE_SIZE = 64;

/** Lines of a chunk. */
const LINES_PER_CHUNK: number = CHUNK_SIZE / LINE_SIZE;
/** Words of a bitmap with a bit a line. */
export const WORDS_PER_CHUNK: number = LINES_PER_CHUNK / 32;

/**
 * What stands behind a persistent range of physical memory: a file, an array, a network.
 *
 * Offsets count from the start of the range. `read` fills a chunk on first touch, and what it does
 * not write is 0; `write` receives the lines that were written back and fenced.
 */
export interface Backing {
  read(offset: number, into: Uint8Array): void;
  write(offset: number, bytes: Uint8Array): void;
  /**
   * Told of what `write` threw: the lines stay on their way, and the next fence tries again. Without it, the fence
   * throws.
   */
  writeFailed?(error: unknown): void;
}

/** One chunk of physical memory and the views that the fast paths use. */
export class Chunk {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly quads: BigUint64Array;
  readonly region: Region | null;
  readonly index: number;
  /** Lines stored to and not yet written back: a bit a line; persistent ranges only. */
  readonly dirty: Int32Array | null;
  dirtyLines = 0;
  /** Lines written back by `clwb` and not yet fenced: a bit a line; persistent ranges only. */
  readonly pending: Int32Array | null;
  pendingLines = 0;
  /** Which words of `pending` are not 0: a bit a word, so that a fence need not look at all of them. */
  readonly pendingWords: Int32Array = new Int32Array(WORDS_PER_CHUNK / 32);

  /** @param spare a chunk of a persistent range that is not used any more, to take its memory over */
  constructor(region: Region | null, index: number, spare?: Chunk) {
    const buffer = spare?.bytes.buffer ?? new ArrayBuffer(CHUNK_SIZE);
    this.bytes = spare?.bytes ?? new Uint8Array(buffer);
    this.words = spare?.words ?? new Int32Array(buffer);
    this.quads = spare?.quads ?? new BigUint64Array(buffer);
    this.region = region;
    this.index = index;
    this.dirty = region === null ? null : bitmap(spare?.dirty);
    this.pending = region === null ? null : bitmap(spare?.pending);
  }
}

/** A persistent range of physical memory. */
export class Region {
  readonly base: number;
  readonly size: number;
  readonly backing: Backing;
  /** Indices of the chunks that have lines written back and not yet fenced. */
  readonly pendingChunks: number[] = [];
  /** Whether the last fence left lines behind, which the backing could not write. */
  unwritten = false;

  constructor(base: number, size: number, backing: Backing) {
    this.base = base;
    this.size = size;
    this.backing = backing;
  }
}

/** A bitmap with a bit a line, all clear. */
function bitmap(spare: Int32Array | null | undefined): Int32Array {
  return spare?.fill(0) ?? new Int32Array(WORDS_PER_CHUNK);
}

/** Which bits of a bitmap's word lie within lines first to last. */
export function linesOfWord(word: number, first: number, last: number): number {
  const from = word === first >>> 5 ? -1 << (first & 31) : -1;
  return word === last >>> 5 ? from & (-1 >>> (31 - (last & 31))) : from;
}

/** The first line from `line` on whose bit is not set; at most the number of lines. */
export function nextClear(bits: Int32Array, line: number): number {
  let word = line >>> 5;
  let rest = ~(bits[word] as number) & (-1 << (line & 31));
  while (rest === 0) {
    if (++word === WORDS_PER_CHUNK) return LINES_PER_CHUNK;
    rest = ~(bits[word] as number);
  }
  return word * 32 + lowestBit(rest);
}

/** The first line whose bit is set in `pending`; there is one. */
export function firstPending({ pending, pendingWords }: Chunk): number {
  let at = 0;
  while (pendingWords[at] === 0) at++;
  const word = at * 32 + lowestBit(pendingWords[at] as number);
  return word * 32 + lowestBit(pending?.[word] as number);
}

/** A line's bit. */
export function bitOf(bitmap: Int32Array, line: number): number {
  return ((bitmap[line >>> 5] as number) >>> (line & 31)) & 1;
}

/** Sets a line's bit; 1 if there is a bitmap. */
export function setBit(bitmap: Int32Array | null, line: number): number {
  if (bitmap === null) return 0;
  bitmap[line >>> 5] = (bitmap[line >>> 5] as number) | (1 << (line & 31));
  return 1;
}

export function clearBit(bitmap: Int32Array, line: number): void {
  bitmap[line >>> 5] = (bitmap[line >>> 5] as number) & ~(1 << (line & 31));
}

/** Number of the lowest bit of a word that is set. */
export function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** How many bits of a word are set. */
export function countBits(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555);
  const nibbles = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
