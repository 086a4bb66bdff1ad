// SPDX-License-Identifier: MIT
// A disk on a pmem device of the stack: every access is a kernel call, through the MMU and PKRS.

import { EIO } from '@pkslab/kernel';
import type { PmemDevice } from '@pkslab/pmem';
import { LINE_SIZE, PAGE_SIZE } from '@pkslab/x86-cpu';
import type { Stack } from '../stack.ts';
import type { Disk } from './disk.ts';
import type { ImageExtent } from './layout.ts';

/**
 * Reads of the mapped extent go by direct access, as a file system with DAX does, other reads by kmap, writes
 * through the block driver. A call may be unwound and run again, so its code touches nothing but the machine.
 */
export class StackDisk implements Disk {
  readonly size: number;
  readonly #stack: Stack;
  readonly #device: PmemDevice;
  readonly #mapped: ImageExtent;

  constructor(stack: Stack, device: PmemDevice, mapped: ImageExtent) {
    this.size = device.size;
    this.#stack = stack;
    this.#device = device;
    this.#mapped = mapped;
  }

  read(offset: number, into: Uint8Array): number {
    const { start, size } = this.#mapped;
    const mapped = offset >= start && offset + into.length <= start + size;
    return this.#stack.kernel.call(() =>
      mapped ? this.#readDirect(offset, into) : this.#readMapped(offset, into),
    );
  }

  write(offset: number, from: Uint8Array): number {
    return this.#stack.kernel.call(() => this.#device.write(offset, from));
  }

  flush(): number {
    return this.#stack.kernel.call(() => this.#device.flush());
  }

  #readDirect(offset: number, into: Uint8Array): number {
    const { dax } = this.#stack;
    const id = dax.readLock();
    const status = this.#copyDirect(offset, into);
    dax.readUnlock(id);
    return status;
  }

  /** kmap of one page after the other. */
  #readMapped(offset: number, into: Uint8Array): number {
    const { kmap, kernel } = this.#stack;
    for (let done = 0; done < into.length; ) {
      const at = this.#device.physical + offset + done;
      const within = at % PAGE_SIZE;
      const length = Math.min(into.length - done, PAGE_SIZE - within);
      const pfn = Math.floor(at / PAGE_SIZE);
      const page = kmap.kmap(pfn);
      kernel.machine.copyOut(page + within, into, done, length);
      kmap.kunmap(pfn);
      done += length;
    }
    return 0;
  }

  /** The first line of a longer read by kmap, nested in dax_read_lock, and the rest by the address that dax gave. */
  #copyDirect(offset: number, into: Uint8Array): number {
    const { dax, kmap, kernel } = this.#stack;
    const within = offset % PAGE_SIZE;
    const pages = Math.ceil((within + into.length) / PAGE_SIZE);
    const found = dax.directAccess(this.#device.dax, Math.floor(offset / PAGE_SIZE), pages);
    if (typeof found === 'number') return found;
    if (found.pages < pages) return -EIO;
    let head = 0;
    if (into.length > LINE_SIZE) {
      head = Math.min(LINE_SIZE, PAGE_SIZE - within);
      const page = kmap.kmap(found.pfn);
      kernel.machine.copyOut(page + within, into, 0, head);
      kmap.kunmap(found.pfn);
    }
    const rest = into.length - head;
    if (rest > 0) kernel.machine.copyOut(found.address + within + head, into, head, rest);
    return 0;
  }
}
