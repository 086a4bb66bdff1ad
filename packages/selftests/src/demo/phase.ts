// SPDX-License-Identifier: MIT
// One run of the demo: SQLite on a pmem device, and a buggy driver beside it.

import type { Media } from '@pkslab/pmem';
import { residentChunksFor } from '@pkslab/pmem';
import type { Sqlite3Static } from '@sqlite.org/sqlite-wasm';
import { bootStack, type Stack } from '../stack.ts';
import { sumStrays } from '../stray/kinds.ts';
import { Guest } from './guest.ts';
import { canaryEffect, unflushedBytes } from './media-check.ts';
import type { PhaseResult } from './result.ts';
import { Saboteur } from './saboteur.ts';
import type { WriteLog } from './write-log.ts';

export interface PhaseOptions {
  readonly sqlite3: Sqlite3Static;
  /** False: the same kernel on a processor without PKS. */
  readonly protected: boolean;
  readonly seed: number;
  readonly transactions: number;
  readonly strays: number;
  readonly media: Media;
  readonly log: WriteLog;
  /** Protections to break on purpose. */
  readonly sabotages?: readonly string[];
  /** Bytes of pmem that stay in host memory, at most. */
  readonly pmemLimit?: number;
  /** Called between transactions; false ends the run early, and orderly. */
  readonly progress?: (progress: PhaseProgress) => Promise<boolean> | boolean;
}

export interface PhaseProgress {
  readonly transactions: number;
  readonly attempted: number;
  readonly stopped: number;
  readonly insideWindow: number;
  readonly reached: number;
}

const CPUS = 2;
/** Transactions between two calls of `progress`. */
const BATCH = 10;
/** Reads at the end, at most, for stray writes that are still due. */
const READS_MAX = 1000;
/** Failed transactions in a row after which a run gives up. */
const FAILURES_MAX = 25;

/**
 * Runs the demo once, on media that stay open.
 *
 * @throws {ImageError} if the media hold something else than a volume of the demo; they are then unchanged.
 */
export async function runPhase(options: PhaseOptions): Promise<PhaseResult> {
  const stack = bootStack({
    cpus: CPUS,
    features: { pks: options.protected },
    sabotages: options.sabotages ?? [],
  });
  const { kernel } = stack;
  if (options.pmemLimit !== undefined) {
    kernel.machine.memory.residentLimit = residentChunksFor(options.pmemLimit);
  }
  return new Phase(stack, options).run();
}

class Phase {
  readonly #stack: Stack;
  readonly #options: PhaseOptions;
  readonly #guest: Guest;
  readonly #saboteur: Saboteur;
  #transactions = 0;
  #failed = 0;
  #firstFailure: string | null = null;
  #interrupted = false;
  #oops: readonly string[] | null = null;

  constructor(stack: Stack, options: PhaseOptions) {
    const { kernel } = stack;
    const { media, seed } = options;
    this.#stack = stack;
    this.#options = options;
    const device = kernel.call(() => stack.pmem.attachDisk({ media }));
    this.#guest = new Guest(stack, device, options);
    this.#saboteur = new Saboteur(stack, device, this.#guest.layout, seed);
  }

  async run(): Promise<PhaseResult> {
    const { canary } = this.#guest.layout;
    const canaryBefore = new Uint8Array(canary.size);
    this.#options.media.read(canary.start, canaryBefore);
    this.#guest.start();
    this.#saboteur.start();
    await this.#work();
    this.#saboteur.stop();
    const found = this.#guest.finish();
    const unflushed = unflushedBytes(
      this.#stack.kernel,
      this.#guest.device,
      this.#options.media,
      canary,
    );
    this.#guest.detach();
    return {
      protected: this.#options.protected,
      pkey: this.#guest.device.pagemap.pkey,
      ...this.#saboteur.result(),
      transactions: this.#transactions,
      failedTransactions: this.#failed,
      firstFailure: this.#firstFailure,
      ...found,
      unflushed,
      canary: canaryEffect(this.#options.media, canary, canaryBefore),
      oops: this.#oops,
      interrupted: this.#interrupted,
      kernelFailure: this.#guest.kernelFailure,
    };
  }

  async #work(): Promise<void> {
    const { transactions, strays } = this.#options;
    let failures = 0;
    for (let done = 0; done < transactions; done++) {
      if (done % BATCH === 0 && !(await this.#goOn())) return;
      if (done === Math.floor(transactions / 2)) this.#sampleOops();
      this.#saboteur.allow(Math.ceil((strays * (done + 1)) / transactions));
      const error = this.#guest.transaction();
      if (error === null) {
        this.#transactions++;
        failures = 0;
        continue;
      }
      this.#failed++;
      this.#firstFailure ??= error;
      failures++;
      if (failures >= FAILURES_MAX || this.#guest.kernelFailure !== null) return;
    }
    // The last transactions may have been too short for the last stray writes.
    for (let reads = 0; reads < READS_MAX && this.#saboteur.due > 0; reads++) {
      this.#saboteur.allow(strays);
      this.#guest.readPage();
    }
    await this.#goOn();
  }

  async #goOn(): Promise<boolean> {
    const { attempted, stopped, insideWindow, reached } = sumStrays(this.#saboteur.ledger.counts);
    const progress = {
      transactions: this.#transactions,
      attempted,
      stopped,
      insideWindow,
      reached,
    };
    const more = (await this.#options.progress?.(progress)) ?? true;
    if (!more) this.#interrupted = true;
    return more;
  }

  /** Without protection there is nothing that would stop it. */
  #sampleOops(): void {
    if (this.#options.protected) this.#oops = this.#saboteur.sampleOops();
  }
}
