// SPDX-License-Identifier: MIT
// Who is inside a device: blk_queue_enter, blk_queue_exit and the freeze at the end. block/blk-core.c
// And whether flushes mean anything to it: the attribute write_cache. block/blk-sysfs.c

import { EINVAL, type Kernel } from '@pkslab/kernel';
import type { Column } from '@pkslab/x86-cpu';

/**
 * Counts requests under way, so that a detach can wait for them. A queue's number is in force until the device
 * goes: a view that outlives its device finds another one, or none.
 */
export class RequestQueues {
  readonly #kernel: Kernel;
  readonly #usage: Column;
  readonly #live: Column;
  readonly #created: Column;
  /** QUEUE_FLAG_WC */
  readonly #writeCache: Column;

  constructor(kernel: Kernel, devices: number) {
    const field = (name: string): Column =>
      kernel.machine.column({
        name: `request_queue.${name}`,
        type: 'i32',
        initial: 0,
        per: 'object',
        count: devices,
      });
    this.#kernel = kernel;
    this.#usage = field('q_usage_counter');
    this.#live = field('live');
    this.#created = field('created');
    this.#writeCache = field('write_cache');
  }

  /** A queue for a new device in the slot; its number. @param writeCache blk_queue_write_cache */
  create(device: number, writeCache: boolean): number {
    const queue = this.#created.add(device, 1);
    this.#writeCache.set(device, writeCache ? 1 : 0);
    this.#live.set(device, queue);
    return queue;
  }

  /** blk_queue_enter: false once the queue is dying. Counted first, so that a drain cannot miss it. */
  enter(device: number, queue: number): boolean {
    this.#usage.add(device, 1);
    if (this.#live.get(device) === queue) return true;
    this.#usage.add(device, -1);
    return false;
  }

  exit(device: number): void {
    this.#usage.add(device, -1);
  }

  /** Whether the device has a volatile write cache, so that flushes reach it. */
  flushes(device: number): boolean {
    return this.#writeCache.get(device) !== 0;
  }

  /** queue_wc_show */
  showWriteCache(device: number): string {
    return this.flushes(device) ? 'write back\n' : 'write through\n';
  }

  /** queue_wc_store: 0, or −EINVAL for anything but `write back`, `write through` and `none`. */
  storeWriteCache(device: number, text: string): number {
    const back = text.startsWith('write back');
    if (!back && !text.startsWith('write through') && !text.startsWith('none')) return -EINVAL;
    this.#writeCache.set(device, back ? 1 : 0);
    return 0;
  }

  /** blk_set_queue_dying: no request gets in from now on; false if it was dying already. */
  setDying(device: number, queue: number): boolean {
    return this.#live.compareExchange(device, queue, 0) === queue;
  }

  /** blk_freeze_queue_wait: returns once nobody is inside. May sleep. */
  waitUntilEmpty(device: number): void {
    while (this.#usage.get(device) !== 0) this.#kernel.sched.sleepUntil(this.#usage, device, 0);
  }
}
