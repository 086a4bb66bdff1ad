// SPDX-License-Identifier: MIT
// The buggy driver beside whoever uses a device: for servers, which do not know what their clients store where.

import { memoryMedia, type PmemDevice } from '@pkslab/pmem';
import { mix, Prng } from '../prng.ts';
import type { Stack } from '../stack.ts';
import { RandomAim } from './aim.ts';
import { type StrayAim, StrayDriver } from './driver.ts';
import { type StrayCounts, sumStrays } from './kinds.ts';
import { StrayLedger } from './ledger.ts';
import { StraySource } from './source.ts';

const CANARY_SIZE: number = 2 ** 20;
/** Different addresses, at most: what the ledger remembers of them stays bounded however long the run is. */
const ADDRESSES = 2 ** 16;

/**
 * Fires stray writes at a device while its users' requests are carried out.
 *
 * Stores of the task that holds a window open, which no key can stop, go to a small device of their own that has
 * the same key, so that users' data stay right where the protection works.
 *
 * @example
 * const stack = bootStack({ cpus: 2, pmem: [{ media: memoryMedia(2 ** 24) }] });
 * const strays = new StraysBeside(stack, stack.devices[0], 1);
 * strays.allow(10); // from the next request on
 * strays.stop();
 * strays.counts.reached; // => 0
 */
export class StraysBeside {
  readonly #stack: Stack;
  readonly #canary: PmemDevice;
  readonly #ledger: StrayLedger;
  readonly #source: StraySource;

  constructor(stack: Stack, device: PmemDevice, seed: number) {
    const { kernel } = stack;
    const { address, physical, size, pagemap } = device;
    this.#stack = stack;
    this.#canary = kernel.call(() =>
      stack.pmem.attachDisk({ media: memoryMedia(CANARY_SIZE), name: 'canary' }),
    );
    const canary = { start: this.#canary.physical - physical, size: CANARY_SIZE };
    this.#ledger = new StrayLedger(physical, canary);
    const driver = new StrayDriver(
      kernel,
      pool(new RandomAim(mix(seed, 1), address, [{ start: 0, size }])),
    );
    const inCanary = new RandomAim(mix(seed, 2), this.#canary.address, [
      { start: 0, size: CANARY_SIZE },
    ]);
    this.#source = new StraySource({
      kernel,
      driver,
      ledger: this.#ledger,
      canaryAim: inCanary,
      random: new Prng(mix(seed, 3)),
      device: { address, physical, size, pkey: pagemap.pkey },
    });
    kernel.call(() => driver.startThreads());
    kernel.machine.journal = this.#ledger;
    kernel.runner.attach(this.#source);
  }

  /** So many stray writes so far. */
  get counts(): StrayCounts {
    return sumStrays(this.#ledger.counts);
  }

  /**
   * Stray writes that were given up, for the kernel retried them for ever (a soft lockup, on a real CPU); they count as
   * stopped.
   */
  get stuck(): number {
    return this.#source.stuck;
  }

  /** Lets it strike so many times more than it has, from the next request on. */
  allow(strays: number): void {
    this.#source.deck.pace(this.#source.struck < this.#source.target);
    this.#source.target = this.#source.struck + strays;
    // Each is counted; which they were is not asked for here, and would add up.
    this.#ledger.landed.length = 0;
  }

  /** No more strikes; those on their way are finished. */
  stop(): void {
    const { kernel } = this.#stack;
    this.#source.target = 0;
    kernel.run();
    kernel.runner.attach(null);
    kernel.machine.journal = null;
    kernel.call(() => this.#canary.detach());
  }
}

function pool(aim: RandomAim): StrayAim {
  return {
    address: (n) => aim.address(n % ADDRESSES),
    value: (n) => aim.value(n),
  };
}
