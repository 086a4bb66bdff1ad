// SPDX-License-Identifier: MIT
// Physical memory: chunks of typed arrays that appear on first touch.

/** Bytes of a chunk of physical memory. */
export const CHUNK_SIZE: number = 2 * 1024 * 1024;

/** Bytes of a cache line. */
export const LINE_SIZE = 64;

const LINES_PER_CHUNK = CHUNK_SIZE / LINE_SIZE;

/**
 * What stands behind a persistent range of physical memory: a file, an array, a network.
 *
 * Offsets count from the start of the range. `read` fills a chunk on first touch; `write` receives the
 * lines that were written back and fenced.
 */
export interface Backing {
  read(offset: number, into: Uint8Array): void;
  write(offset: number, bytes: Uint8Array): void;
}

/** One chunk of physical memory and the views that the fast paths use. */
export class Chunk {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly region: Region | null;
  readonly index: number;
  /** Lines stored to and not yet written back: a bit a line; persistent ranges only. */
  readonly dirty: Int32Array | null;
  dirtyLines = 0;

  constructor(region: Region | null, index: number) {
    const buffer = new ArrayBuffer(CHUNK_SIZE);
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.region = region;
    this.index = index;
    this.dirty = region === null ? null : new Int32Array(LINES_PER_CHUNK / 32);
  }
}

/** A persistent range of physical memory. */
export class Region {
  readonly base: number;
  readonly size: number;
  readonly backing: Backing;
  /** Lines written back by `clwb` and not yet fenced, as physical line numbers. */
  readonly writtenBack: Set<number> = new Set();

  constructor(base: number, size: number, backing: Backing) {
    this.base = base;
    this.size = size;
    this.backing = backing;
  }
}

/** A physical address at which no memory is installed. */
export class BusError extends RangeError {
  override readonly name = 'BusError';
  readonly address: number;

  constructor(address: number) {
    super(
      `no memory at physical address 0x${address.toString(16)}: give the machine more memory or attach a region there`,
    );
    this.address = address;
  }
}

/**
 * The physical memory of a machine: RAM from address 0, and persistent regions above it.
 *
 * Nothing is allocated until it is touched. `residentLimit` bounds how many chunks of persistent regions
 * stay in host memory: past it, clean ones are dropped, oldest first, and read again when touched.
 */
export class PhysicalMemory {
  readonly ramSize: number;
  readonly regions: Region[] = [];
  residentLimit: number = Number.POSITIVE_INFINITY;
  /** Called before a chunk leaves host memory: caches of its views must go. */
  onEvict: (chunk: Chunk) => void = () => {};
  #chunks: (Chunk | null)[];
  readonly #resident = new Set<Chunk>();

  constructor(ramSize: number) {
    this.ramSize = ramSize;
    this.#chunks = new Array<Chunk | null>(Math.ceil(ramSize / CHUNK_SIZE)).fill(null);
  }

  /** Persistent chunks in host memory now. */
  get residentChunks(): number {
    return this.#resident.size;
  }

  /** Installs a persistent region; base and size are multiples of 4 KiB, the base one of 2 MiB. */
  addRegion(base: number, size: number, backing: Backing): Region {
    if (base % CHUNK_SIZE !== 0 || base < this.ramSize) {
      throw new RangeError(
        `region base 0x${base.toString(16)}: must be a multiple of 2 MiB above RAM (0x${this.ramSize.toString(16)})`,
      );
    }
    if (size <= 0 || size % 4096 !== 0) {
      throw new RangeError(`region size ${size}: must be a positive multiple of 4096`);
    }
    const region = new Region(base, size, backing);
    this.regions.push(region);
    return region;
  }

  removeRegion(region: Region): void {
    for (const chunk of [...this.#resident]) if (chunk.region === region) this.#drop(chunk);
    const at = this.regions.indexOf(region);
    if (at >= 0) this.regions.splice(at, 1);
  }

  /** The chunk that holds a physical address, made or read in if this is the first touch. */
  chunkAt(address: number): Chunk {
    const index = Math.floor(address / CHUNK_SIZE);
    const chunk = this.#chunks[index];
    return chunk === null || chunk === undefined ? this.#touch(index, address) : chunk;
  }

  #touch(index: number, address: number): Chunk {
    const region = address < this.ramSize ? null : this.#regionAt(address);
    if (region !== null && this.#resident.size >= this.residentLimit) this.#evictOne();
    const chunk = new Chunk(region, index);
    if (region !== null) {
      const offset = index * CHUNK_SIZE - region.base;
      region.backing.read(
        offset,
        chunk.bytes.subarray(0, Math.min(CHUNK_SIZE, region.size - offset)),
      );
      this.#resident.add(chunk);
    }
    while (this.#chunks.length <= index) this.#chunks.push(null);
    this.#chunks[index] = chunk;
    return chunk;
  }

  #regionAt(address: number): Region {
    for (const region of this.regions) {
      if (address >= region.base && address < region.base + region.size) return region;
    }
    throw new BusError(address);
  }

  #evictOne(): void {
    for (const chunk of this.#resident) {
      if (chunk.dirtyLines > 0 || hasWrittenBack(chunk)) continue;
      this.#drop(chunk);
      return;
    }
  }

  #drop(chunk: Chunk): void {
    this.onEvict(chunk);
    this.#resident.delete(chunk);
    this.#chunks[chunk.index] = null;
  }

  /** Marks the lines of a range as stored to; a range within one chunk of a persistent region. */
  markDirty(chunk: Chunk, offset: number, length: number): void {
    const dirty = chunk.dirty;
    if (dirty === null) return;
    const last = (offset + length - 1) >>> 6;
    for (let line = offset >>> 6; line <= last; line++) {
      const word = line >>> 5;
      const bit = 1 << (line & 31);
      const old = dirty[word] as number;
      if ((old & bit) === 0) {
        dirty[word] = old | bit;
        chunk.dirtyLines++;
      }
    }
  }

  /** CLWB of each line of a range: dirty lines are on their way, durable at the next fence. */
  writeBack(address: number, length: number): void {
    const end = address + length;
    for (let line = Math.floor(address / LINE_SIZE); line * LINE_SIZE < end; line++) {
      const chunk = this.chunkAt(line * LINE_SIZE);
      const dirty = chunk.dirty;
      if (dirty === null || chunk.region === null) return;
      const within = line % LINES_PER_CHUNK;
      const bit = 1 << (within & 31);
      const word = within >>> 5;
      if (((dirty[word] as number) & bit) === 0) continue;
      dirty[word] = (dirty[word] as number) & ~bit;
      chunk.dirtyLines--;
      chunk.region.writtenBack.add(line);
    }
  }

  /** SFENCE: lines written back so far reach their media, neighbours in one write. */
  fence(): void {
    for (const region of this.regions) {
      if (region.writtenBack.size === 0) continue;
      const lines = Float64Array.from(region.writtenBack).sort();
      region.writtenBack.clear();
      for (let i = 0; i < lines.length; ) {
        const first = lines[i] as number;
        let count = 1;
        while (lines[i + count] === first + count && (first + count) % LINES_PER_CHUNK !== 0)
          count++;
        const chunk = this.chunkAt(first * LINE_SIZE);
        const start = (first % LINES_PER_CHUNK) * LINE_SIZE;
        region.backing.write(
          first * LINE_SIZE - region.base,
          chunk.bytes.subarray(start, start + count * LINE_SIZE),
        );
        i += count;
      }
    }
  }
}

function hasWrittenBack(chunk: Chunk): boolean {
  const first = chunk.index * LINES_PER_CHUNK;
  for (const line of chunk.region?.writtenBack ?? []) {
    if (line >= first && line < first + LINES_PER_CHUNK) return true;
  }
  return false;
}
