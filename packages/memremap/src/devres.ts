// SPDX-License-Identifier: MIT
// What a device holds, given back in reverse order when its driver lets go of it. drivers/base/devres.c

import { ENOMEM, type Kernel, KernelError } from '@pkslab/kernel';
import type { Column } from '@pkslab/x86-cpu';
import type { Pagemap, Pagemaps } from './pagemap.ts';
import type { PagemapRequest } from './pagemap-request.ts';

/** Devices that may hold something, and how much each. */
export const DEVRES_DEVICES_MAX = 16;
const ACTIONS_MAX = 8;

/** A function that gives something back: its number, from {@link Devres.register}. */
export type DevresAction = number;

/**
 * Managed resources of devices, which are named by a number below {@link DEVRES_DEVICES_MAX}.
 *
 * Get it with `kernel.module(memremap)`.
 */
export class Devres {
  readonly #pagemaps: Pagemaps;
  /** devres_head: how much each device holds, and of each what gives it back, with which argument. */
  readonly #count: Column;
  readonly #action: Column;
  readonly #data: Column;
  readonly #functions: ((data: number) => void)[] = [];
  readonly #unmap: DevresAction;

  constructor(kernel: Kernel, pagemaps: Pagemaps) {
    const { machine } = kernel;
    this.#pagemaps = pagemaps;
    const object = { initial: 0, per: 'object' } as const;
    const held = { ...object, count: DEVRES_DEVICES_MAX * ACTIONS_MAX };
    this.#count = machine.column({
      ...object,
      name: 'device.devres_count',
      type: 'u8',
      count: DEVRES_DEVICES_MAX,
    });
    this.#action = machine.column({ ...held, name: 'devres.action', type: 'u8' });
    this.#data = machine.column({ ...held, name: 'devres.data', type: 'address' });
    this.#unmap = this.register((id) => this.#pagemaps.memunmapPages({ id }));
  }

  /** Gives a function a number by which devices can hold it; at boot, in `KernelModule.create`. */
  register(run: (data: number) => void): DevresAction {
    return this.#functions.push(run) - 1;
  }

  /**
   * devm_add_action_or_reset: does something when the device is released; at once where there is no room.
   *
   * @param data what the action is called with: the number of what it gives back
   * @returns 0, or −ENOMEM past 8 actions of a device, after the action has run
   * @example
   * const kernel = boot({ modules: [pksCore, memremap] });
   * const { devres } = kernel.module(memremap);
   * const clear = devres.register((page) => kernel.machine.store32(PAGE_OFFSET + page * 4096, 0));
   * kernel.call(() => devres.addAction(0, clear, 0x1000)); // => 0
   */
  addAction(device: number, action: DevresAction, data = 0): number {
    const count = this.#count.get(device);
    if (count === ACTIONS_MAX) {
      this.#functions[action]?.(data);
      return -ENOMEM;
    }
    const slot = device * ACTIONS_MAX + count;
    this.#action.set(slot, action);
    this.#data.set(slot, data);
    this.#count.set(device, count + 1);
    return 0;
  }

  /**
   * devm_memremap_pages: {@link Pagemaps.memremapPages} until the device is released. May sleep.
   *
   * Use it in a driver's probe: an error in a later step, or unbinding, unmaps without more code.
   *
   * @throws {KernelError} what memremap_pages throws; ENOMEM where the device holds too much.
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
    if (map instanceof KernelError || this.addAction(device, this.#unmap, map.id) === 0) return map;
    return new KernelError(ENOMEM, `devres: device ${device} has ${ACTIONS_MAX} actions already`);
  }

  /** devres_release_all: what came last goes first. May sleep. */
  releaseAll(device: number): void {
    for (let left = this.#count.get(device); left > 0; left--) {
      this.#count.set(device, left - 1);
      const slot = device * ACTIONS_MAX + left - 1;
      this.#functions[this.#action.get(slot)]?.(this.#data.get(slot));
    }
  }
}
