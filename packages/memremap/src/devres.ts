// SPDX-License-Identifier: MIT
// What a device holds, given back in reverse order when its driver lets go of it. drivers/base/devres.c

import { ENOMEM, type Kernel, KernelError } from '@pkslab/kernel';
import type { Column } from '@pkslab/x86-cpu';
import type { Pagemap, Pagemaps } from './pagemap.ts';
import type { PagemapRequest } from './pagemap-request.ts';

/** Devices that may hold something, and how much each. */
export const DEVRES_DEVICES_MAX = 16;
const ACTIONS_MAX = 8;

/**
 * Managed resources of devices, which are named by a number below {@link DEVRES_DEVICES_MAX}.
 *
 * Get it with `kernel.module(memremap)`.
 */
export class Devres {
  readonly #pagemaps: Pagemaps;
  readonly #count: Column;
  /** What a slot in use does; read only while its device counts it. */
  readonly #actions: (() => void)[] = [];

  constructor(kernel: Kernel, pagemaps: Pagemaps) {
    this.#pagemaps = pagemaps;
    this.#count = kernel.machine.column({
      name: 'device.devres_count',
      type: 'u8',
      initial: 0,
      per: 'object',
      count: DEVRES_DEVICES_MAX,
    });
  }

  /**
   * devm_add_action_or_reset: does something when the device is released; at once where there is no room.
   *
   * @throws {KernelError} ENOMEM past 8 actions of a device, after `action` has run.
   */
  addAction(device: number, action: () => void): void {
    const slot = this.#count.get(device);
    if (slot === ACTIONS_MAX) {
      action();
      throw new KernelError(ENOMEM, `devres: device ${device} has ${ACTIONS_MAX} actions already`);
    }
    this.#actions[device * ACTIONS_MAX + slot] = action;
    this.#count.set(device, slot + 1);
  }

  /**
   * devm_memremap_pages: {@link Pagemaps.memremapPages} until the device is released. May sleep.
   *
   * Use it in a driver's probe: an error in a later step, or unbinding, unmaps without more code.
   *
   * @throws {KernelError} what memremap_pages throws.
   * @example
   * const kernel = boot({ modules: [pksCore, memremap] });
   * const { devres } = kernel.module(memremap);
   * const physical = 0x1_0000_0000;
   * kernel.machine.memory.addRegion(physical, 4096, { read() {}, write() {} });
   * const request = { physical, size: 4096, type: MemoryType.devDax, flags: PGMAP_PROT_ENABLED };
   * const { address } = kernel.call(() => devres.memremapPages(0, request));
   * kernel.call(() => devres.releaseAll(0));
   * kernel.mm.lookup(address).present; // => false
   */
  memremapPages(device: number, request: PagemapRequest): Pagemap {
    const map = this.tryMemremapPages(device, request);
    if (map instanceof KernelError) throw map;
    return map;
  }

  /** {@link memremapPages} with its error as a value, for a probe that then calls {@link releaseAll}. */
  tryMemremapPages(device: number, request: PagemapRequest): Pagemap | KernelError {
    const map = this.#pagemaps.tryMemremapPages(request);
    if (!(map instanceof KernelError)) {
      this.addAction(device, () => this.#pagemaps.memunmapPages(map));
    }
    return map;
  }

  /** devres_release_all: what came last goes first. May sleep. */
  releaseAll(device: number): void {
    for (let left = this.#count.get(device); left > 0; left--) {
      this.#count.set(device, left - 1);
      this.#actions[device * ACTIONS_MAX + left - 1]?.();
    }
  }
}
