// SPDX-License-Identifier: MIT
// A pmem device as an NBD export: each request is a call of a task, through bio, driver and PKRS.

import { EIO, type Kernel, KernelPanic } from '@pkslab/kernel';
import { EndlessRetry } from '@pkslab/x86-cpu';
import type { BioOperation } from '../bio.ts';
import { REQ_FUA } from '../bio.ts';
import type { NbdExport } from '../nbd/export.ts';
import type { PmemDevice } from '../pmem-device.ts';

const SECTOR = 512;
const NOTHING: Uint8Array = new Uint8Array(0);
const ZEROES: Uint8Array = new Uint8Array(SECTOR);

/** What clients have asked for so far. */
export interface NbdCounters {
  /** Calls of the kernel: a long request is several. */
  calls: number;
  bytesRead: number;
  bytesWritten: number;
  /** Flushes, and writes with FUA. */
  flushes: number;
  /** Calls that ended with an error. */
  errors: number;
}

export interface PmemExportOptions {
  readonly kernel: Kernel;
  readonly device: PmemDevice;
  /** Told of everything that a call threw, an oops for example; the client gets EIO. */
  readonly onFailure?: (error: unknown) => void;
}

interface Segment {
  buffer: Uint8Array;
  offset: number;
  length: number;
}

/**
 * Serves a device. The bio of a call is one object that is filled again: requests allocate nothing.
 *
 * @example
 * const exported = new PmemExport({ kernel, device });
 * exported.write(0, bytes, 0, bytes.length, false);
 * exported.counters.bytesWritten; // => 64
 */
export class PmemExport implements NbdExport {
  readonly name: string;
  readonly description = 'pkslab persistent memory, under a supervisor protection key';
  readonly size: number;
  readonly readOnly: boolean;
  readonly counters: NbdCounters = {
    calls: 0,
    bytesRead: 0,
    bytesWritten: 0,
    flushes: 0,
    errors: 0,
  };
  readonly #kernel: Kernel;
  readonly #device: PmemDevice;
  readonly #onFailure: (error: unknown) => void;
  readonly #segment: Segment;
  readonly #bio: {
    operation: BioOperation;
    sector: number;
    flags: number;
    segments: [Segment];
  };
  readonly #submit: () => number;
  #stopped = false;

  constructor({ kernel, device, onFailure = () => {} }: PmemExportOptions) {
    this.name = device.name;
    this.size = device.size;
    this.readOnly = device.readOnly;
    this.#kernel = kernel;
    this.#device = device;
    this.#onFailure = onFailure;
    this.#segment = { buffer: NOTHING, offset: 0, length: 0 };
    this.#bio = { operation: 'read', sector: 0, flags: 0, segments: [this.#segment] };
    this.#submit = () => device.submitBio(this.#bio);
  }

  /**
   * Whether a call found that the machine can do nothing any more: a panic, or a CPU that spins in a fault (a soft
   * lockup). Every request is EIO from then on, and the device cannot be detached.
   */
  get stopped(): boolean {
    return this.#stopped;
  }

  read(offset: number, into: Uint8Array, at: number, length: number): number {
    this.counters.bytesRead += length;
    if (isSectors(offset, length)) return this.#bioCall('read', offset, into, at, length, 0);
    const part = into.subarray(at, at + length);
    return this.#call(() => this.#device.read(offset, part));
  }

  write(offset: number, from: Uint8Array, at: number, length: number, fua: boolean): number {
    const { counters } = this;
    counters.bytesWritten += length;
    if (fua) counters.flushes++;
    const flags = fua ? REQ_FUA : 0;
    if (isSectors(offset, length)) {
      return this.#bioCall('write', offset, from, at, length, flags);
    }
    const part = from.subarray(at, at + length);
    return this.#call(() => {
      const error = this.#device.write(offset, part);
      return error === 0 && fua ? this.#device.flush() : error;
    });
  }

  writeZeroes(offset: number, length: number): number {
    const end = offset + length;
    const first = Math.min(end, Math.ceil(offset / SECTOR) * SECTOR);
    const last = Math.max(first, Math.floor(end / SECTOR) * SECTOR);
    this.counters.bytesWritten += length;
    let error = 0;
    if (last > first) error = this.#bioCall('writeZeroes', first, NOTHING, 0, last - first, 0);
    // What is left at the ends is less than a sector.
    if (error === 0 && first > offset) error = this.#zero(offset, first - offset);
    if (error === 0 && end > last) error = this.#zero(last, end - last);
    return error;
  }

  flush(): number {
    this.counters.flushes++;
    return this.#bioCall('flush', 0, NOTHING, 0, 0, 0);
  }

  #zero(offset: number, length: number): number {
    return this.#call(() => this.#device.write(offset, ZEROES, length));
  }

  #bioCall(
    operation: BioOperation,
    offset: number,
    buffer: Uint8Array,
    at: number,
    length: number,
    flags: number,
  ): number {
    const bio = this.#bio;
    const segment = this.#segment;
    bio.operation = operation;
    bio.sector = offset / SECTOR;
    bio.flags = flags;
    segment.buffer = buffer;
    segment.offset = at;
    segment.length = length;
    return this.#call(this.#submit);
  }

  /** A call of the kernel; whatever ends it early is an I/O error for the client, as for a block device's user. */
  #call(call: () => number): number {
    this.counters.calls++;
    if (this.#stopped) {
      this.counters.errors++;
      return EIO;
    }
    let error: number;
    try {
      error = -this.#kernel.call(call);
    } catch (failure) {
      this.#stopped = failure instanceof EndlessRetry || failure instanceof KernelPanic;
      this.#onFailure(failure);
      error = EIO;
    }
    if (error !== 0) this.counters.errors++;
    return error;
  }
}

function isSectors(offset: number, length: number): boolean {
  return offset % SECTOR === 0 && length % SECTOR === 0;
}
