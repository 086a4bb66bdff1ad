// SPDX-License-Identifier: MIT
// What media could not do, as the platform reports it to the driver: poison, and writes that failed.

import { EIO, type Kernel, KernelError } from '@pkslab/kernel';
import { CHUNK_SIZE, type Column, type FieldDefinition, PAGE_SIZE } from '@pkslab/x86-cpu';
import { type BadBlocks, SECTOR_SIZE } from './bad-blocks.ts';

/** As many runs of pages as a chunk can have, which is read at once. */
const REPORTS_PER_DEVICE: number = CHUNK_SIZE / PAGE_SIZE / 2;

/**
 * Reports of a device, in cells. An error shows while an operation is under way, and the list of bad blocks has a
 * lock: so it is written down here first, and whoever copies from the device puts it into the list.
 */
export class MediaErrors {
  readonly #reports: Column;
  readonly #start: Column;
  readonly #length: Column;
  /** Status of the last flush and of the last drain. */
  readonly #status: Column;

  constructor(kernel: Kernel, devices: number) {
    const field = (name: string, type: FieldDefinition['type'], count: number): Column =>
      kernel.machine.column({ name: `nd_region.${name}`, type, initial: 0, per: 'object', count });
    this.#reports = field('reports', 'u32', devices);
    this.#start = field('poison_start', 'address', devices * REPORTS_PER_DEVICE);
    this.#length = field('poison_length', 'address', devices * REPORTS_PER_DEVICE);
    this.#status = field('flush_status', 'i32', devices);
  }

  /** Within an operation: these bytes cannot be read. Past the last place, that one grows to have them too. */
  report(device: number, offset: number, length: number): void {
    const [sector, count] = [offset / SECTOR_SIZE, length / SECTOR_SIZE];
    const reports = this.#reports.values[device] as number;
    const last = Math.min(reports, REPORTS_PER_DEVICE - 1);
    const at = device * REPORTS_PER_DEVICE + last;
    let [from, to] = [sector, sector + count];
    if (reports > last) {
      const start = this.#start.values[at] as number;
      from = Math.min(from, start);
      to = Math.max(to, start + (this.#length.values[at] as number));
    }
    this.#start.poke(at, from);
    this.#length.poke(at, to - from);
    this.#reports.poke(device, reports + 1);
  }

  /** Within an operation: how a flush or a drain ended. */
  setStatus(device: number, succeeded: boolean): void {
    this.#status.poke(device, succeeded ? 0 : -EIO);
  }

  /** 0, or −EIO where the last flush or drain left something behind. */
  status(device: number): number {
    return this.#status.get(device);
  }

  /** Forgets what was reported of a device that goes. */
  reset(device: number): void {
    this.#reports.set(device, 0);
  }

  /**
   * nfit_handle_mce: puts what was reported into the list.
   *
   * @returns `nothing`, by one operation, if nothing was reported; `full` where the list has no room: the reports stay.
   */
  absorb(device: number, badBlocks: BadBlocks): 'nothing' | 'listed' | 'full' {
    let reports = this.#reports.get(device);
    if (reports === 0) return 'nothing';
    for (;;) {
      for (let slot = 0; slot < Math.min(reports, REPORTS_PER_DEVICE); slot++) {
        const at = device * REPORTS_PER_DEVICE + slot;
        if (!badBlocks.set(device, this.#start.get(at), this.#length.get(at))) return 'full';
      }
      const now = this.#reports.compareExchange(device, reports, 0);
      if (now === reports || now === 0) return 'listed';
      reports = now;
    }
  }
}

/** A device went, and its media did not take what was stored in it: that is lost. */
export class MediaLoss extends KernelError {
  override readonly name = 'MediaLoss';

  constructor(device: number) {
    super(
      EIO,
      `pmem: device ${device}: the media failed, and what was stored since the last flush that succeeded may be lost; restore it from a copy`,
    );
  }
}
