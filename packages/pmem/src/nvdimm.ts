// SPDX-License-Identifier: MIT
// The device under the driver: memory that appears at a physical address, and its flush hint.

import { EBUSY, EINVAL, type Kernel, KernelError } from '@pkslab/kernel';
import { CHUNK_SIZE, LARGE_PAGE_SIZE, type Region, ReportingBacking } from '@pkslab/x86-cpu';
import type { PersistenceDomain } from './crash-point.ts';
import type { Media } from './media.ts';
import { MediaErrors, MediaLoss } from './media-errors.ts';

const Command = {
  plug: 0,
  flush: 1,
  drain: 2,
  discard: 3,
  unplug: 4,
  lose: 5,
  commands: 6,
} as const;

/** Media, where they appear, and what the platform saves of them when the power fails. */
interface Plugged {
  readonly physical: number;
  readonly media: Media;
  readonly persistence: PersistenceDomain;
  /** Told of what the media throw. */
  readonly onMediaError: (error: unknown) => void;
}

interface Slot extends Plugged {
  readonly backing: ReportingBacking;
  region: Region | null;
}

/**
 * What a driver does to the device itself. Each command is one operation of the machine, so that a task which
 * is continued later does not give it twice.
 */
export class Nvdimm {
  readonly #kernel: Kernel;
  readonly #chooser: number;
  readonly #slots: (Slot | undefined)[] = [];
  /** What the media of a slot could not do. */
  readonly errors: MediaErrors;

  constructor(kernel: Kernel, devices: number) {
    this.#kernel = kernel;
    this.errors = new MediaErrors(kernel, devices);
    const { choosers } = kernel.machine;
    this.#chooser = choosers.length;
    choosers.push({ alternatives: (command) => [command], take: (command) => this.#obey(command) });
  }

  /** Puts media at a physical address, where nothing else is. */
  plug(id: number, plugged: Plugged): void {
    const backing = new ReportingBacking(plugged.media, {
      poisoned: (offset, length) => this.errors.report(id, offset, length),
      failed: plugged.onMediaError,
    });
    this.#slots[id] = { ...plugged, backing, region: null };
    this.#give(id, Command.plug);
  }

  /** Takes the media away; the caches keep nothing of them. */
  unplug(id: number): void {
    this.#give(id, Command.unplug);
  }

  /**
   * Writes to the flush hint address: what was fenced is proof against power loss when this returns 0, and with −EIO
   * something of it is not: the media have failed.
   */
  flush(id: number): number {
    this.#give(id, Command.flush);
    return this.errors.status(id);
  }

  /** Everything stored reaches the media, as it does sooner or later while the power stays on; else −EIO. */
  drain(id: number): number {
    this.#give(id, Command.drain);
    return this.errors.status(id);
  }

  /** Says to whoever attached it that what was stored did not reach the media, and will not. */
  lose(id: number): void {
    this.#give(id, Command.lose);
  }

  /** A power failure: stores that were not written back and fenced are gone, unless the caches are saved too. */
  discard(id: number): void {
    this.#give(id, Command.discard);
  }

  /** @throws {KernelError} EINVAL for a start off the 2 MiB boundary; EBUSY if the range is not free. */
  checkFree(physical: number, size: number): void {
    const { ramSize, regions } = this.#kernel.machine.memory;
    if (physical % LARGE_PAGE_SIZE !== 0) {
      throw new KernelError(
        EINVAL,
        `pmem: region 0x${physical.toString(16)}: give a multiple of 2 MiB, and of 128 MiB for struct pages`,
      );
    }
    if (physical < ramSize) {
      throw new KernelError(
        EBUSY,
        `pmem: could not reserve region 0x${physical.toString(16)}: RAM ends at 0x${ramSize.toString(16)}`,
      );
    }
    for (const region of regions) {
      if (physical < region.base + region.size && region.base < physical + size) {
        throw new KernelError(
          EBUSY,
          `pmem: could not reserve region 0x${physical.toString(16)}: there is a device at 0x${region.base.toString(16)}`,
        );
      }
    }
  }

  /** Where the next device fits: behind RAM and every device, from 4 GiB on, on a boundary of 1 GiB. */
  nextFree(): number {
    const { ramSize, regions } = this.#kernel.machine.memory;
    let end = Math.max(ramSize, 4 * 2 ** 30);
    for (const region of regions) end = Math.max(end, region.base + region.size);
    return Math.ceil(end / 2 ** 30) * 2 ** 30;
  }

  /** The slot whose media are at a physical address, or −1. */
  slotAt(physical: number): number {
    return this.#slots.findIndex((slot) => slot?.physical === physical && slot.region !== null);
  }

  /** Where the media of a slot are. */
  rangeOf(id: number): { readonly physical: number; readonly size: number } {
    const { physical, media } = this.#slots[id] as Slot;
    return { physical, size: media.size };
  }

  #give(id: number, command: number): void {
    this.#kernel.machine.choose(this.#chooser, id * Command.commands + command);
  }

  #powerFail({ persistence, media }: Slot, region: Region): void {
    const { memory } = this.#kernel.machine;
    if (persistence === 'eadr' && media.readOnly !== true) memory.drain(region);
    memory.discard(region);
  }

  #obey(command: number): void {
    const { memory, journal } = this.#kernel.machine;
    // A search takes every step back, and could not take back what media were told.
    if (journal !== null) return;
    const id = Math.floor(command / Command.commands);
    const slot = this.#slots[id];
    if (slot === undefined) return;
    const { region, media, backing } = slot;
    switch (command % Command.commands) {
      case Command.plug:
        slot.region = memory.addRegion(slot.physical, media.size, backing);
        return;
      case Command.flush:
        this.errors.setStatus(id, backing.flush() && region?.unwritten !== true);
        return;
      case Command.drain:
        if (region !== null && media.readOnly !== true) memory.drain(region);
        this.errors.setStatus(id, region?.unwritten !== true);
        return;
      case Command.discard:
        if (region !== null) this.#powerFail(slot, region);
        return;
      case Command.lose:
        slot.onMediaError(new MediaLoss(id));
        return;
      default:
        if (region !== null) memory.removeRegion(region);
        slot.region = null;
    }
  }
}

/**
 * How many chunks of pmem may stay in host memory for a limit in bytes: for `PhysicalMemory.residentLimit`.
 *
 * @example
 * residentChunksFor(512 * 2 ** 20); // => 256
 */
export function residentChunksFor(bytes: number): number {
  return Math.max(1, Math.floor(bytes / CHUNK_SIZE));
}
