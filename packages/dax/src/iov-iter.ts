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

  /** copy_to_iter: bytes copied from `address`; fewer than asked where a page was refused. */
  copyTo(machine: Machine, address: number, bytes: number): number {
    const length = Math.min(bytes, this.remaining);
    if (length === 0) return 0;
    const refused =
      this.#buffer === null
        ? machine.copy(this.#address + this.#done, address, length, true)
        : machine.copyOut(address, this.#buffer, this.#done, length, EXTABLE | FAULTABLE);
    return this.#advance(refused, length);
  }

  /** copy_from_iter_flushcache: as non-temporal stores do, the lines are on their way to the media. */
  copyFromFlushcache(machine: Machine, address: number, bytes: number): number {
    const length = Math.min(bytes, this.remaining);
    if (length === 0) return 0;
    const refused =
      this.#buffer === null
        ? machine.copy(address, this.#address + this.#done, length, true)
        : machine.copyIn(address, this.#buffer, this.#done, length, EXTABLE | FAULTABLE);
    if (!refused) machine.clwb(address, length);
    return this.#advance(refused, length);
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

  #advance(refused: boolean, length: number): number {
    if (refused) return 0;
    this.#done += length;
    return length;
  }
}
