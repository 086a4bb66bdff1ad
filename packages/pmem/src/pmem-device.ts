// SPDX-License-Identifier: MIT
// A pmem block device. drivers/nvdimm/pmem.c

import type { DaxDevice } from '@pkslab/dax';
import { EINVAL, EIO, ENODEV, EOPNOTSUPP, EROFS, KernelError } from '@pkslab/kernel';
import type { Kmap } from '@pkslab/kmap';
import type { Pagemap } from '@pkslab/memremap';
import { type Machine, PAGE_SIZE } from '@pkslab/x86-cpu';
import { type BadBlocks, type BadRange, SECTOR_SIZE } from './bad-blocks.ts';
import { type Bio, type BioVec, bioLength, checkBio, REQ_FUA, REQ_PREFLUSH } from './bio.ts';
import type { PersistenceDomain } from './crash-point.ts';
import type { Nvdimm } from './nvdimm.ts';
import type { RequestQueues } from './request-queue.ts';
import type { Transfer } from './transfer.ts';

/** What the devices of one driver share. */
export interface PmemParts {
  readonly machine: Machine;
  readonly kmap: Kmap;
  readonly nvdimm: Nvdimm;
  readonly transfer: Transfer;
  readonly badBlocks: BadBlocks;
  readonly queues: RequestQueues;
  readonly fences: boolean;
  detach(device: PmemDevice, queue: number): void;
}

/** What a device is made of. */
export interface PmemIdentity {
  readonly id: number;
  readonly name: string;
  readonly size: number;
  readonly physical: number;
  readonly pagemap: Pagemap;
  readonly readOnly: boolean;
  readonly persistence: PersistenceDomain;
  /** Number of its request queue. */
  readonly queue: number;
}

/**
 * A pmem device: a view of one slot of the driver; all that changes is in cells.
 *
 * Calls return 0 or a negative errno: −EIO for bad blocks, a range beyond the device or an access that was
 * refused, −EROFS for a write to a read-only device, −ENODEV once it is being detached, −EINVAL for a range that
 * makes no sense. Buffers must outlive the kernel call: make them outside.
 *
 * @example
 * const device = kernel.call(() => kernel.module(pmem).attachDisk({ media: memoryMedia(2 ** 24) }));
 * device.name; // => 'pmem1'
 * kernel.call(() => kernel.machine.tryStore32(device.address, 7)); // => true: refused
 */
export class PmemDevice {
  readonly id: number;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Physical address of the first byte. */
  readonly physical: number;
  /** Kernel address of the first byte (virt_addr). */
  readonly address: number;
  /** The page map; of a raw device, which has no struct pages, `id` is −1 and `pkey` is 0. */
  readonly pagemap: Pagemap;
  readonly readOnly: boolean;
  /** What a power failure leaves of it: what was fenced (`adr`), or every store (`eadr`). */
  readonly persistence: PersistenceDomain;
  /** The device for direct access, named as this one. */
  readonly dax: DaxDevice;
  readonly #queue: number;
  readonly #parts: PmemParts;

  constructor(identity: PmemIdentity, dax: DaxDevice, parts: PmemParts) {
    this.id = identity.id;
    this.name = identity.name;
    this.size = identity.size;
    this.physical = identity.physical;
    this.address = identity.pagemap.address;
    this.pagemap = identity.pagemap;
    this.readOnly = identity.readOnly;
    this.persistence = identity.persistence;
    this.dax = dax;
    this.#queue = identity.queue;
    this.#parts = parts;
  }

  /**
   * Reads bytes at any offset, page by page (pmem_do_read). [PATCH 15/17]
   *
   * @example
   * const bytes = new Uint8Array(4096);
   * kernel.call(() => device.read(0, bytes)); // => 0
   */
  read(offset: number, into: Uint8Array, length: number = into.length): number {
    const error = this.#check(offset, length, into);
    if (error !== 0 || length === 0) return error;
    const { queues, transfer } = this.#parts;
    if (!queues.enter(this.id, this.#queue)) return -ENODEV;
    let status = 0;
    for (let done = 0; done < length && status === 0; ) {
      const part = pagePart(offset + done, length - done);
      status = transfer.read(this, offset + done, into, done, part);
      done += part;
    }
    queues.exit(this.id);
    return status;
  }

  /**
   * Writes bytes at any offset, page by page (pmem_do_write): they are on their way to the media when it
   * returns, and durable after {@link flush}. [PATCH 15/17]
   *
   * @example
   * const text = new TextEncoder().encode('kept');
   * kernel.call(() => device.write(4095, text)); // => 0
   */
  write(offset: number, from: Uint8Array, length: number = from.length): number {
    const error = this.readOnly ? -EROFS : this.#check(offset, length, from);
    if (error !== 0 || length === 0) return error;
    const { queues, transfer } = this.#parts;
    if (!queues.enter(this.id, this.#queue)) return -ENODEV;
    let status = 0;
    for (let done = 0; done < length; ) {
      const part = pagePart(offset + done, length - done);
      status = transfer.write(this, offset + done, from, done, part) || status;
      done += part;
    }
    queues.exit(this.id);
    return status;
  }

  /**
   * nvdimm_flush: everything written so far is durable when it returns 0 (unless the cache is `write through`).
   *
   * @returns −EIO too where the media failed: bytes that could not be written are kept, and the next flush tries them
   * again; after a failed flush of the media themselves every later one fails, for nobody knows what they lost.
   * @example
   * kernel.call(() => device.flush()); // => 0
   * media.counters.flushes; // => 1
   */
  flush(): number {
    const { queues } = this.#parts;
    if (!queues.enter(this.id, this.#queue)) return -ENODEV;
    const status = this.#flushIfCached();
    queues.exit(this.id);
    return status;
  }

  /**
   * pmem_make_request: carries out a bio and returns its status.
   *
   * @returns 0, −EOPNOTSUPP for a discard, −EINVAL where it is not a number of sectors, or as the other calls.
   * @throws {KernelError} EINVAL for a bio that no block layer could have built; nothing was done then.
   * @example
   * const segments = [{ buffer: new Uint8Array(512), offset: 0, length: 512 }];
   * const bio = { operation: 'write', sector: 8, flags: REQ_FUA, segments } as const;
   * kernel.call(() => device.submitBio(bio)); // => 0
   */
  submitBio(bio: Bio): number {
    checkBio(bio);
    const refused = this.#refusal(bio);
    if (refused !== 0) return refused;
    const { queues } = this.#parts;
    if (!queues.enter(this.id, this.#queue)) return -ENODEV;
    const flags = bio.flags ?? 0;
    let flushed = 0;
    if ((flags & REQ_PREFLUSH) !== 0 || bio.operation === 'flush') flushed = this.#flushIfCached();
    let status = 0;
    let at = bio.sector * SECTOR_SIZE;
    for (const segment of bio.segments) {
      status = this.#segment(bio, segment, at);
      if (status !== 0) break;
      at += segment.length;
    }
    if ((flags & REQ_FUA) !== 0) flushed = this.#flushIfCached() || flushed;
    queues.exit(this.id);
    return status || flushed;
  }

  /**
   * The attribute `queue/write_cache`: `write back\n`, or `write through\n`, as from the start where the platform
   * saves its caches.
   *
   * @example
   * device.writeCache; // => 'write back\n'
   */
  get writeCache(): string {
    return this.#parts.queues.showWriteCache(this.id);
  }

  /**
   * Writes to `queue/write_cache`: `write back`, or `write through` (`none` means it too), from which on the block
   * layer takes PREFLUSH and FUA off bios, and nothing is flushed. What was written is durable then only if
   * the platform saves its caches.
   *
   * @returns 0, or −EINVAL for another text.
   */
  storeWriteCache(text: string): number {
    return this.#parts.queues.storeWriteCache(this.id, text);
  }

  /** The list of bad blocks, as the attribute `badblocks` shows it. */
  get badBlocks(): readonly BadRange[] {
    return this.#parts.badBlocks.ranges(this.id);
  }

  /**
   * Makes sectors of 512 bytes bad, as an error that the platform reported does.
   *
   * @returns false where the list is full.
   * @throws {KernelError} EINVAL for no sectors, and for any that the device does not have.
   */
  addBadBlocks(sector: number, count: number): boolean {
    const sectors = this.size / SECTOR_SIZE;
    const whole = Number.isSafeInteger(sector) && Number.isSafeInteger(count);
    if (!whole || sector < 0 || count < 1 || sector + count > sectors) {
      throw new KernelError(
        EINVAL,
        `${this.name}: bad blocks: ${count} from sector ${sector} on; it has sectors 0 to ${sectors - 1}`,
      );
    }
    return this.#parts.badBlocks.set(this.id, sector, count);
  }

  /**
   * pmem_detach_disk: waits for requests and dax users, unmaps, and takes the device away. May sleep.
   *
   * What was stored reaches the media, as it would while the power stays on; where they fail, `onMediaError` of the
   * request is told of a {@link MediaLoss}. Further calls return −ENODEV; a
   * second detach does nothing. The media stay open: whoever opened them closes them.
   *
   * @example
   * kernel.call(() => device.detach());
   * kernel.call(() => device.flush()); // => -19
   */
  detach(): void {
    this.#parts.detach(this, this.#queue);
  }

  /**
   * A power failure: whatever was not written back and fenced is gone, from every view of the device; with
   * `persistence: 'eadr'` the platform saves the caches too, and nothing is.
   */
  powerFail(): void {
    this.#parts.nvdimm.discard(this.id);
  }

  /** The block layer drops flushes of a queue without a write cache (generic_make_request_checks). */
  #flushIfCached(): number {
    const { queues, fences, machine, nvdimm } = this.#parts;
    if (!queues.flushes(this.id)) return 0;
    if (fences) machine.sfence();
    return nvdimm.flush(this.id);
  }

  #check(offset: number, length: number, buffer: Uint8Array): number {
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length)) return -EINVAL;
    if (length < 0 || length > buffer.length) return -EINVAL;
    return offset < 0 || offset + length > this.size ? -EIO : 0;
  }

  /** What generic_make_request_checks and the driver refuse before anything is done. */
  #refusal(bio: Bio): number {
    const length = bioLength(bio);
    const offset = bio.sector * SECTOR_SIZE;
    if (bio.operation === 'discard') return -EOPNOTSUPP;
    if (length % SECTOR_SIZE !== 0 || !Number.isInteger(bio.sector)) return -EINVAL;
    if (bio.operation !== 'read' && bio.operation !== 'flush' && this.readOnly) return -EROFS;
    return offset < 0 || offset + length > this.size ? -EIO : 0;
  }

  /** pmem_do_bvec, once for each page of the device that the segment touches. */
  #segment(bio: Bio, segment: BioVec, offset: number): number {
    for (let done = 0; done < segment.length; ) {
      const part = pagePart(offset + done, segment.length - done);
      const status = this.#pageOfSegment(bio, segment, done, offset + done, part);
      if (status !== 0) return status;
      done += part;
    }
    return 0;
  }

  #pageOfSegment(bio: Bio, segment: BioVec, done: number, at: number, length: number): number {
    const { transfer, kmap } = this.#parts;
    if (bio.operation === 'writeZeroes') return transfer.writeZeroes(this, at, length);
    const reads = bio.operation === 'read';
    const from = segment.offset + done;
    if ('buffer' in segment) {
      return reads
        ? transfer.read(this, at, segment.buffer, from, length)
        : transfer.write(this, at, segment.buffer, from, length);
    }
    const page = kmap.kmapAtomic(segment.pfn);
    const status = reads
      ? transfer.readTo(this, at, page + from, length)
      : transfer.writeFrom(this, at, page + from, length);
    kmap.kunmapAtomic(page);
    return status;
  }
}

/** How many of the bytes at an offset lie in the same page. */
function pagePart(offset: number, length: number): number {
  return Math.min(length, PAGE_SIZE - (offset % PAGE_SIZE));
}
