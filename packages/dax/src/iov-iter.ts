// SPDX-License-Identifier: MIT
// struct iov_iter: where the bytes of a read or write come from or go to. lib/iov_iter.c

import { EXTABLE, FAULTABLE, type Machine, PAGE_SIZE } from '@pkslab/x86-cpu';

/**
 * One segment of memory and how far a copy has come in it; it belongs to the caller's stack.
 *
 * A user segment is a host buffer, whose pages may have to be faulted in; a kernel segment is an address.
 *
 * @example
 * const iter = IovIter.user(new Uint8Array(4096));
 * iter.remaining; // => 4096
 */
export class IovIter {
  readonly #buffer: Uint8Array | null;
  readonly #address: number;
  #done: number;
  readonly #end: number;

  private constructor(buffer: Uint8Array | null, address: number, offset: number, end: number) {
    this.#buffer = buffer;
    this.#address = address;
    this.#done = offset;
    this.#end = end;
  }

  /** A segment of user memory. The buffer must outlive the kernel call: make it outside. */
  static user(buffer: Uint8Array, offset = 0, length: number = buffer.length - offset): IovIter {
    return new IovIter(buffer, 0, offset, offset + length);
  }

  /** A segment of kernel memory, as a kvec. */
  static kernel(address: number, length: number): IovIter {
    return new IovIter(null, address, 0, length);
  }

  /** Bytes left. */
  get remaining(): number {
    return this.#end - this.#done;
  }

  /** _copy_to_iter_mcsafe: bytes copied from `address`; fewer than asked where a page was refused. */
  copyTo(machine: Machine, address: number, bytes: number): number {
    return this.#advance(address, bytes, (from, at, length) =>
      this.#buffer === null
        ? machine.copy(this.#address + at, from, length, true)
        : machine.copyOut(from, this.#buffer, at, length, EXTABLE | FAULTABLE),
    );
  }

  /** copy_from_iter_flushcache: by non-temporal stores, so the lines are on their way to the media. */
  copyFromFlushcache(machine: Machine, address: number, bytes: number): number {
    return this.#advance(address, bytes, (to, at, length) =>
      this.#buffer === null
        ? machine.copyNonTemporal(to, this.#address + at, length, true)
        : machine.copyInNonTemporal(to, this.#buffer, at, length, EXTABLE | FAULTABLE),
    );
  }

  /** iov_iter_zero: zeroes for what a file has not; `zeroPage` is the address of a page of them. */
  zero(machine: Machine, zeroPage: number, bytes: number): number {
    let done = 0;
    while (done < bytes && this.remaining > 0) {
      const copied = this.copyTo(machine, zeroPage, Math.min(bytes - done, PAGE_SIZE));
      if (copied === 0) break;
      done += copied;
    }
    return done;
  }

  /**
   * Copies in one operation; where that was refused, page by page up to the one that is.
   *
   * @param copy from or to an address of the device, at a place of the segment; whether it was refused
   */
  #advance(
    address: number,
    bytes: number,
    copy: (address: number, at: number, length: number) => boolean,
  ): number {
    const length = Math.min(bytes, this.remaining);
    if (length === 0) return 0;
    let done = copy(address, this.#done, length) ? 0 : length;
    const first = PAGE_SIZE - (address & (PAGE_SIZE - 1));
    if (done === 0 && length > first) {
      for (let part = first; done < length; part = Math.min(PAGE_SIZE, length - done)) {
        if (copy(address + done, this.#done + done, part)) break;
        done += part;
      }
    }
    this.#done += done;
    return done;
  }
}
