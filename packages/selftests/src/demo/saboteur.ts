// SPDX-License-Identifier: MIT
// The buggy driver of the demo, with what decides when it strikes and what sees what it did.

import type { PmemDevice } from '@pkslab/pmem';
import { mix, Prng } from '../prng.ts';
import type { ImageExtent, Layout } from '../sqlite/layout.ts';
import type { Stack } from '../stack.ts';
import { RandomAim } from '../stray/aim.ts';
import { StrayDriver } from '../stray/driver.ts';
import { StrayLedger } from '../stray/ledger.ts';
import { StraySource } from '../stray/source.ts';
import type { PhaseResult } from './result.ts';

/** The first bytes of a file's extent are where its data is. */
const HEAD = 512 * 1024;

export class Saboteur {
  readonly ledger: StrayLedger;
  readonly #stack: Stack;
  readonly #driver: StrayDriver;
  readonly #source: StraySource;
  readonly #canaryAim: RandomAim;

  constructor(stack: Stack, device: PmemDevice, layout: Layout, seed: number) {
    const { kernel } = stack;
    const { address, physical, size, pagemap } = device;
    this.#stack = stack;
    this.ledger = new StrayLedger(physical, layout.canary);
    this.#driver = new StrayDriver(kernel, new RandomAim(mix(seed, 1), address, targets(layout)));
    this.#canaryAim = new RandomAim(mix(seed, 2), address, [layout.canary]);
    this.#source = new StraySource({
      kernel,
      driver: this.#driver,
      ledger: this.ledger,
      canaryAim: this.#canaryAim,
      random: new Prng(mix(seed, 3)),
      device: { address, physical, size, pkey: pagemap.pkey },
    });
  }

  start(): void {
    const { kernel } = this.#stack;
    kernel.call(() => this.#driver.startThreads());
    kernel.machine.journal = this.ledger;
    kernel.runner.attach(this.#source);
  }

  /** Lets it strike until there have been so many stray writes. */
  allow(strays: number): void {
    this.#source.deck.pace(this.#source.struck < this.#source.target);
    this.#source.target = strays;
  }

  /** Stray writes that were allowed and have not struck yet. */
  get due(): number {
    return this.#source.target - this.#source.struck;
  }

  /** No more strikes; those on their way are finished. */
  stop(): void {
    const { kernel } = this.#stack;
    this.#source.target = 0;
    try {
      kernel.run();
    } catch {
      // A machine that stopped cannot finish them: the counts then disagree, and that is reported.
    }
    kernel.runner.attach(null);
    kernel.machine.journal = null;
  }

  /** A kernel thread stores with a plain instruction: the lines of its oops, none if it was not stopped. */
  sampleOops(): readonly string[] {
    const { kernel } = this.#stack;
    const { target } = this.#source;
    const lines: string[] = [];
    const address = this.#canaryAim.address(-1);
    // Threads that were woken store while somebody counts.
    this.#source.target = 0;
    kernel.run();
    kernel.runner.attach(null);
    kernel.printk.onLine = (line) => lines.push(line);
    const buggyStore = (): void => kernel.machine.store32(address, 0);
    kernel.call(() => kernel.spawn('stray/plain', buggyStore));
    kernel.run();
    kernel.printk.onLine = null;
    kernel.runner.attach(this.#source);
    this.#source.target = target;
    return lines;
  }

  result(): Pick<PhaseResult, 'strays' | 'landed' | 'told'> {
    const { issued, refused, done } = this.#driver;
    return {
      strays: this.ledger.counts,
      landed: this.ledger.landed,
      told: {
        issued: issued.values[0] as number,
        refused: refused.values[0] as number,
        done: done.values[0] as number,
      },
    };
  }
}

/** Anywhere outside the canary, and more often where the data is. */
function targets({ superblock, journal, database }: Layout): readonly ImageExtent[] {
  const head = ({ start, size }: ImageExtent): ImageExtent => ({
    start,
    size: Math.min(size, HEAD),
  });
  return [superblock, head(journal), head(database), head(database), journal, database];
}
