// SPDX-License-Identifier: MIT
// Reads, writes and faults of files without a page cache. fs/dax.c
// [PATCH 10/17] fs/dax: Remove unused size parameter, [PATCH 14/17] dax: Stray write protection

import { EFAULT, EINVAL, EIO, type Kernel } from '@pkslab/kernel';
import { type Kmap, kmap } from '@pkslab/kmap';
import { type Machine, PAGE_SIZE } from '@pkslab/x86-cpu';
import { type Dax, dax } from './dax.ts';
import type { DaxDevice } from './device.ts';
import type { Iomap, IomapOperations } from './iomap.ts';
import type { IovIter } from './iov-iter.ts';

/** What a fault on a mapped file found. */
export interface DaxFault {
  /** The page to map; of a fault that was served by a copy, the page that holds it. */
  readonly pfn: number;
  /** `device`: pmem itself; `zero`: the zero page of a hole; `copy`: a private copy. */
  readonly from: 'device' | 'zero' | 'copy';
}

/**
 * What a file system on a dax device calls; its metadata are an {@link IomapOperations}.
 *
 * Needs the modules dax and kmap.
 *
 * @example
 * const fs = new Fsdax(kernel);
 * const file = flatExtents(device, [{ offset: 0, length: 8192, address: 4096 }]);
 * kernel.call(() => fs.iomapRw(file, 0, IovIter.user(new Uint8Array(8192)), false)); // => 8192
 */
export class Fsdax {
  readonly #dax: Dax;
  readonly #kmap: Kmap;
  readonly #machine: Machine;
  readonly #zeroPage: number;
  readonly #zeroPfn: number;
  readonly #writebackGrant: boolean;

  constructor(kernel: Kernel) {
    this.#dax = kernel.module(dax);
    this.#kmap = kernel.module(kmap);
    this.#machine = kernel.machine;
    this.#zeroPfn = this.#dax.zeroPfn;
    this.#zeroPage = kernel.mm.directAddress(this.#zeroPfn * PAGE_SIZE);
    this.#writebackGrant = kernel.choice('writebackGrant') === 'held';
  }

  /**
   * dax_iomap_rw: copies between a file and an iter until the iter is empty.
   *
   * @returns bytes copied, or a negative errno if there were none: −EFAULT where a page of the iter or the
   * device was refused, −EIO for a write where nothing is mapped, or what dax_direct_access says.
   */
  iomapRw(operations: IomapOperations, position: number, iter: IovIter, write: boolean): number {
    let done = 0;
    while (iter.remaining > 0) {
      const iomap = operations.begin(position + done, iter.remaining);
      const copied =
        typeof iomap === 'number'
          ? iomap
          : this.iomapActor(iomap, position + done, iter.remaining, iter, write);
      if (copied <= 0) return done > 0 ? done : copied;
      done += copied;
    }
    return done;
  }

  /** dax_iomap_actor: the copy within one run; the whole of it under dax_read_lock. */
  iomapActor(
    iomap: Iomap,
    position: number,
    length: number,
    iter: IovIter,
    write: boolean,
  ): number {
    const bytes = Math.min(length, iomap.offset + iomap.length - position);
    if (iomap.type !== 'mapped') {
      return write ? -EIO : iter.zero(this.#machine, this.#zeroPage, bytes);
    }
    const id = this.#dax.readLock();
    let done = 0;
    let error = 0;
    while (done < bytes) {
      const copied = this.#copy(iomap, position + done, bytes - done, iter, write);
      if (copied <= 0) {
        error = copied === 0 ? -EFAULT : copied;
        break;
      }
      done += copied;
    }
    this.#dax.readUnlock(id);
    return done > 0 ? done : error;
  }

  #copy(iomap: Iomap, position: number, bytes: number, iter: IovIter, write: boolean): number {
    const on = iomap.address + position - iomap.offset;
    const within = on % PAGE_SIZE;
    const pgoff = (on - within) / PAGE_SIZE;
    const pages = Math.ceil((within + bytes) / PAGE_SIZE);
    const found = this.#dax.directAccess(iomap.device, pgoff, pages);
    if (typeof found === 'number') return found;
    const length = Math.min(bytes, found.pages * PAGE_SIZE - within);
    const address = found.address + within;
    this.#dax.setReadwrite(iomap.device);
    const copied = write
      ? this.#dax.copyFromIter(iomap.device, pgoff, address, length, iter)
      : this.#dax.copyToIter(iomap.device, pgoff, address, length, iter);
    this.#dax.setNoaccess(iomap.device);
    return copied;
  }

  /** dax_iomap_zero: zeroes part of a page; a whole one is the driver's business. */
  iomapZero(iomap: Iomap, position: number, size: number): number {
    const on = iomap.address + position - iomap.offset;
    const within = on % PAGE_SIZE;
    const pgoff = (on - within) / PAGE_SIZE;
    const id = this.#dax.readLock();
    const error =
      within === 0 && size === PAGE_SIZE
        ? this.#dax.zeroPageRange(iomap.device, pgoff, 1)
        : this.#zeroPart(iomap.device, pgoff, within, size);
    this.#dax.readUnlock(id);
    return error;
  }

  #zeroPart(device: DaxDevice, pgoff: number, within: number, size: number): number {
    const found = this.#dax.directAccess(device, pgoff, 1);
    if (typeof found === 'number') return found;
    if (within + size > PAGE_SIZE) return -EINVAL;
    this.#dax.setReadwrite(device);
    this.#machine.fill(found.address + within, 0, size);
    this.#dax.flush(device, found.address + within, size);
    this.#dax.setNoaccess(device);
    return 0;
  }

  /** dax_iomap_pfn: the first page of `size` bytes that can be mapped by one leaf; −EINVAL if they cannot. */
  iomapPfn(iomap: Iomap, position: number, size: number): number {
    const on = iomap.address + position - iomap.offset;
    const id = this.#dax.readLock();
    const found = this.#dax.directAccess(
      iomap.device,
      Math.floor(on / PAGE_SIZE),
      size / PAGE_SIZE,
    );
    this.#dax.readUnlock(id);
    if (typeof found === 'number') return found;
    const fits = found.pages * PAGE_SIZE >= size && (found.pfn * PAGE_SIZE) % size === 0;
    return fits ? found.pfn : -EINVAL;
  }

  /**
   * copy_cow_page_dax: a page of the device into a page of RAM, for a write to a private mapping. [PATCH 10/17]
   *
   * @param from byte on the device, a multiple of 4096
   * @param to pfn of the copy
   * @returns 0, −EINVAL for a place that is not page-aligned, or what dax_direct_access says
   */
  copyCowPage(device: DaxDevice, from: number, to: number): number {
    if (from % PAGE_SIZE !== 0) return -EINVAL;
    const id = this.#dax.readLock();
    const found = this.#dax.directAccess(device, from / PAGE_SIZE, 1);
    if (typeof found === 'number') {
      this.#dax.readUnlock(id);
      return found;
    }
    const page = this.#kmap.kmapAtomic(to);
    this.#dax.setReadwrite(device);
    this.#machine.copy(page, found.address, PAGE_SIZE);
    this.#dax.setNoaccess(device);
    this.#kmap.kunmapAtomic(page);
    this.#dax.readUnlock(id);
    return 0;
  }

  /**
   * dax_iomap_pte_fault: the page for a fault on a mapped file.
   *
   * @param copyPfn the page that takes the copy, for a write to a private mapping; null for a shared one
   */
  iomapFault(
    operations: IomapOperations,
    position: number,
    copyPfn: number | null,
  ): DaxFault | number {
    const page = position - (position % PAGE_SIZE);
    const iomap = operations.begin(page, PAGE_SIZE);
    if (typeof iomap === 'number') return iomap;
    if (copyPfn !== null) return this.#cowFault(iomap, page, copyPfn);
    if (iomap.type !== 'mapped') return { pfn: this.#zeroPfn, from: 'zero' };
    const pfn = this.iomapPfn(iomap, page, PAGE_SIZE);
    return pfn < 0 ? pfn : { pfn, from: 'device' };
  }

  #cowFault(iomap: Iomap, page: number, copyPfn: number): DaxFault | number {
    if (iomap.type === 'mapped') {
      const from = iomap.address + page - iomap.offset;
      const error = this.copyCowPage(iomap.device, from, copyPfn);
      return error < 0 ? error : { pfn: copyPfn, from: 'copy' };
    }
    const to = this.#kmap.kmapAtomic(copyPfn);
    this.#machine.fill(to, 0, PAGE_SIZE);
    this.#kmap.kunmapAtomic(to);
    return { pfn: copyPfn, from: 'copy' };
  }

  /**
   * dax_writeback_one: writes back the lines of pages that user mappings dirtied.
   *
   * CLWB is checked as a read: as posted until V7, nothing opens access here, and a protected page is refused
   * (D-25).
   */
  writebackOne(device: DaxDevice, address: number, pages: number): void {
    if (!this.#writebackGrant) {
      this.#dax.flush(device, address, pages * PAGE_SIZE);
      return;
    }
    const id = this.#dax.readLock();
    this.#dax.setReadwrite(device);
    this.#dax.flush(device, address, pages * PAGE_SIZE);
    this.#dax.setNoaccess(device);
    this.#dax.readUnlock(id);
  }
}
