// SPDX-License-Identifier: MIT
// A user of a dax device that keeps the address of its memory: what dm-writecache does. drivers/md/dm-writecache.c

import { type Kernel, KernelError } from '@pkslab/kernel';
import { PAGE_SIZE } from '@pkslab/x86-cpu';
import type { WritecacheMap } from './choices.ts';
import { type Dax, dax } from './dax.ts';
import type { DaxDevice } from './device.ts';

/**
 * A cache on a dax device: words at offsets of its memory, from `claim` on.
 *
 * What is left of dm-writecache is what the series touches: persistent_memory_claim takes the address under
 * dax_read_lock, and uses it long after the unlock (D-25).
 *
 * @example
 * const cache = kernel.call(() => Writecache.claim(kernel, device, 16));
 * kernel.call(() => cache.store(0, 7));
 * kernel.call(() => cache.load(0)); // => 7
 */
export class Writecache {
  readonly #kernel: Kernel;
  readonly #dax: Dax;
  readonly #device: DaxDevice;
  /** memory_map */
  readonly #address: number;
  readonly #size: number;
  /** Whether `#address` is a mapping of its own. */
  readonly #vmapped: boolean;
  readonly #bracketed: boolean;

  private constructor(kernel: Kernel, device: DaxDevice, size: number, own: number, found: number) {
    this.#kernel = kernel;
    this.#dax = kernel.module(dax);
    this.#device = device;
    this.#address = own === 0 ? found : own;
    this.#size = size;
    this.#vmapped = own !== 0;
    this.#bracketed = kernel.choice('writecacheMap') === 'bracketed';
  }

  /**
   * persistent_memory_claim
   *
   * @throws {KernelError} what dax_direct_access says; ENOMEM without room for a mapping of its own.
   */
  static claim(kernel: Kernel, device: DaxDevice, pages: number): Writecache {
    const core = kernel.module(dax);
    const policy = kernel.choice('writecacheMap') as WritecacheMap;
    const id = core.readLock();
    const found = core.directAccess(device, 0, pages);
    const ownMap = policy === 'ownMapping' && core.mapProtected(device);
    core.readUnlock(id);
    if (typeof found === 'number') throw new KernelError(-found, 'dm-writecache: no direct access');
    const size = found.pages * PAGE_SIZE;
    // vmap(pages, PAGE_KERNEL): the alias has key 0, so nothing stops a stray through it (D-56).
    const own = ownMap ? kernel.mm.vmap(found.pfn * PAGE_SIZE, size) : 0;
    return new Writecache(kernel, device, size, own, found.address);
  }

  store(offset: number, value: number): void {
    this.#use(() => this.#kernel.machine.store32(this.#address + offset, value));
  }

  load(offset: number): number {
    return this.#use(() => this.#kernel.machine.load32(this.#address + offset));
  }

  /** persistent_memory_release */
  release(): void {
    if (this.#vmapped) this.#kernel.mm.unmap(this.#address, this.#size);
  }

  #use<T>(touch: () => T): T {
    if (!this.#bracketed) return touch();
    const id = this.#dax.readLock();
    this.#dax.setReadwrite(this.#device);
    const result = touch();
    this.#dax.setNoaccess(this.#device);
    this.#dax.readUnlock(id);
    return result;
  }
}
