// SPDX-License-Identifier: MIT
// Physical memory: chunks of typed arrays that appear on first touch.

import {
  type Backing,
  CHUNK_SIZE,
  Chunk,
  clearBit,
  countBits,
  firstPending,
  LINE_SIZE,
  linesOfWord,
  nextClear,
  Region,
  setBit,
} from './chunk.ts';
import { type Spill, spill, unspill } from './spill.ts';

/**
 * How many evicted chunks there are at least before the oldest is used again: a copy may hold one while it brings
 * in the other.
 */
const SPARES_MIN = 2;

/** Sees what becomes of stores to persistent memory, as they happen: for logs of crash tests. */
export interface PersistenceObserver {
  /** Before `length` bytes at an offset of a chunk change. */
  storing(chunk: Chunk, offset: number, length: number): void;
  /** Lines of a chunk, a bit a line from line `word` times 32 on, are on their way. */
  writingBack(chunk: Chunk, word: number, lines: number): void;
  /** CLWB of a range of a chunk, whatever lines of it are dirty. */
  cleaning?(chunk: Chunk, offset: number, length: number): void;
  /** Before the lines written back so far reach their media. */
  fencing(): void;
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
 * stay in host memory: past it the oldest is dropped, and read again when touched; of a chunk with lines that
 * its backing does not have yet, those lines are kept aside.
 */
export class PhysicalMemory {
  readonly ramSize: number;
  readonly regions: Region[] = [];
  residentLimit: number = Number.POSITIVE_INFINITY;
  /** Called before a chunk leaves host memory: caches of its views must go. */
  onEvict: (chunk: Chunk) => void = () => {};
  /** Whoever logs stores to persistent memory, or null. */
  persistence: PersistenceObserver | null = null;
  #chunks: (Chunk | null)[];
  readonly #resident = new Set<Chunk>();
  readonly #spilled = new Map<number, Spill>();
  /** Evicted chunks whose memory the next ones take over, oldest first. */
  readonly #spares: Chunk[] = [];

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

  /** Takes a region away, and with it every store that was not written back and fenced. */
  removeRegion(region: Region): void {
    this.discard(region);
    const at = this.regions.indexOf(region);
    if (at >= 0) this.regions.splice(at, 1);
  }

  /** Forgets what the caches hold of a region: every store that was not written back and fenced is lost. */
  discard(region: Region): void {
    for (const [index, spill] of this.#spilled) {
      if (spill.region === region) this.#spilled.delete(index);
    }
    for (const chunk of [...this.#resident]) if (chunk.region === region) this.#forget(chunk);
    region.pendingChunks.length = 0;
    region.unwritten = false;
  }

  /** Writes back every line of a region that was stored to, and fences: what the caches do in their own time. */
  drain(region: Region): void {
    for (const chunk of this.#resident) {
      if (chunk.region !== region || chunk.dirtyLines === 0) continue;
      this.writeBack(chunk.index * CHUNK_SIZE, CHUNK_SIZE);
    }
    // After those in host memory, for bringing these back may spill one of them.
    for (const [index, { region: owner }] of [...this.#spilled]) {
      if (owner === region) this.writeBack(index * CHUNK_SIZE, CHUNK_SIZE);
    }
    this.fence();
  }

  /** The chunk that holds a physical address, made or read in if this is the first touch. */
  chunkAt(address: number): Chunk {
    const index = Math.floor(address / CHUNK_SIZE);
    const chunk = this.#chunks[index];
    return chunk === null || chunk === undefined ? this.#touch(index, address) : chunk;
  }

  #touch(index: number, address: number): Chunk {
    const region = address < this.ramSize ? null : this.#regionAt(address);
    if (region !== null && this.#resident.size >= this.residentLimit) this.#evictOldest();
    const chunk = region === null ? new Chunk(null, index) : this.#readChunk(region, index);
    while (this.#chunks.length <= index) this.#chunks.push(null);
    this.#chunks[index] = chunk;
    return chunk;
  }

  #readChunk(region: Region, index: number): Chunk {
    const spare = this.#spares.length >= SPARES_MIN ? this.#spares.shift() : undefined;
    const chunk = new Chunk(region, index, spare);
    const offset = index * CHUNK_SIZE - region.base;
    const length = Math.min(CHUNK_SIZE, region.size - offset);
    // Nothing of another chunk stays where the backing writes nothing: a twelfth of what reading a file costs.
    if (spare !== undefined) chunk.bytes.fill(0);
    region.backing.read(offset, chunk.bytes.subarray(0, length));
    this.#resident.add(chunk);
    const lines = this.#spilled.get(index);
    if (lines !== undefined) {
      unspill(chunk, lines);
      this.#spilled.delete(index);
    }
    return chunk;
  }

  #regionAt(address: number): Region {
    for (const region of this.regions) {
      if (address >= region.base && address < region.base + region.size) return region;
    }
    throw new BusError(address);
  }

  #evictOldest(): void {
    for (const chunk of this.#resident) {
      const lines = spill(chunk);
      if (lines !== null) this.#spilled.set(chunk.index, lines);
      this.#forget(chunk);
      // A log reads what was stored once the next thing happens: leave it its chunk.
      if (this.persistence === null) this.#spares.push(chunk);
      return;
    }
  }

  #forget(chunk: Chunk): void {
    this.onEvict(chunk);
    this.#resident.delete(chunk);
    this.#chunks[chunk.index] = null;
  }

  /** Marks the lines of a range as stored to; a range within one chunk of a persistent region. */
  markDirty(chunk: Chunk, offset: number, length: number): void {
    const dirty = chunk.dirty;
    if (dirty === null) return;
    this.persistence?.storing(chunk, offset, length);
    const first = offset >>> 6;
    const last = (offset + length - 1) >>> 6;
    for (let word = first >>> 5; word <= last >>> 5; word++) {
      const old = dirty[word] as number;
      const fresh = linesOfWord(word, first, last) & ~old;
      if (fresh === 0) continue;
      dirty[word] = old | fresh;
      chunk.dirtyLines += countBits(fresh);
    }
  }

  /** CLWB of each line of a range: dirty lines are on their way, durable at the next fence. */
  writeBack(address: number, length: number): void {
    const end = address + length;
    for (let at = address; at < end; ) {
      const index = Math.floor(at / CHUNK_SIZE);
      const next = Math.min(end, (index + 1) * CHUNK_SIZE);
      // Lines of a chunk that is neither here nor spilled are clean.
      const chunk = this.#spilled.has(index) ? this.chunkAt(at) : (this.#chunks[index] ?? null);
      if (chunk !== null) this.writeBackIn(chunk, at - index * CHUNK_SIZE, next - at);
      at = next;
    }
  }

  /** CLWB within a chunk that is in host memory. */
  writeBackIn(chunk: Chunk, offset: number, length: number): void {
    if (this.persistence !== null) this.persistence.cleaning?.(chunk, offset, length);
    if (chunk.dirtyLines > 0)
      this.#writeBackLines(chunk, offset >>> 6, (offset + length - 1) >>> 6);
  }

  #writeBackLines(chunk: Chunk, first: number, last: number): void {
    const { region, dirty, pending } = chunk;
    if (region === null || dirty === null || pending === null) return;
    const listed = chunk.pendingLines > 0;
    for (let word = first >>> 5; word <= last >>> 5; word++) {
      const taken = (dirty[word] as number) & linesOfWord(word, first, last);
      if (taken === 0) continue;
      this.persistence?.writingBack(chunk, word, taken);
      dirty[word] = (dirty[word] as number) & ~taken;
      chunk.dirtyLines -= countBits(taken);
      chunk.pendingLines += countBits(taken & ~(pending[word] as number));
      pending[word] = (pending[word] as number) | taken;
      setBit(chunk.pendingWords, word);
    }
    if (!listed && chunk.pendingLines > 0) region.pendingChunks.push(chunk.index);
  }

  /** SFENCE: lines written back so far reach their media, neighbours in one write. */
  fence(): void {
    this.persistence?.fencing();
    for (const region of this.regions) {
      if (region.pendingChunks.length > 0) this.#fenceRegion(region);
    }
  }

  /** A chunk that fails stays in the list, as do its lines. */
  #fenceRegion(region: Region): void {
    const { pendingChunks, backing } = region;
    if (pendingChunks.length > 1) pendingChunks.sort((a, b) => b - a);
    const failed: number[] = [];
    for (let at = pendingChunks.length - 1; at >= 0; at--) {
      const index = pendingChunks[at] as number;
      try {
        this.#fenceChunk(region, this.chunkAt(index * CHUNK_SIZE));
      } catch (error) {
        if (backing.writeFailed === undefined) throw error;
        backing.writeFailed(error);
        failed.push(index);
      }
      pendingChunks.pop();
    }
    pendingChunks.push(...failed);
    region.unwritten = failed.length > 0;
  }

  /** A line leaves the bitmap once the backing has it, so that one which throws loses nothing. */
  #fenceChunk(region: Region, chunk: Chunk): void {
    const pending = chunk.pending;
    if (pending === null) return;
    const offset = chunk.index * CHUNK_SIZE - region.base;
    while (chunk.pendingLines > 0) {
      const first = firstPending(chunk);
      const end = nextClear(pending, first);
      const bytes = chunk.bytes.subarray(first * LINE_SIZE, end * LINE_SIZE);
      region.backing.write(offset + first * LINE_SIZE, bytes);
      for (let word = first >>> 5; word <= (end - 1) >>> 5; word++) {
        const left = (pending[word] as number) & ~linesOfWord(word, first, end - 1);
        pending[word] = left;
        if (left === 0) clearBit(chunk.pendingWords, word);
      }
      chunk.pendingLines -= end - first;
    }
  }
}
