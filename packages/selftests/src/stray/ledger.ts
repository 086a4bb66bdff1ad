// SPDX-License-Identifier: MIT
// What stray writes did, seen from outside: which bytes of memory changed, not what the driver was told.

import { CHUNK_SIZE, type Chunk, type Journal } from '@pkslab/x86-cpu';
import type { ImageExtent } from '../sqlite/layout.ts';
import { noStrays, type StrayContext, type StrayCounts } from './kinds.ts';

const STORE_SIZE = 4;

/** A store that the machine let through. */
export interface LandedStray {
  readonly context: StrayContext;
  /** Offset on the device. */
  readonly offset: number;
}

/** Counts stray stores as they are executed, and changes of memory as they happen. */
export class StrayLedger implements Journal {
  readonly counts: Readonly<Record<StrayContext, StrayCounts>> = {
    interrupt: noStrays(),
    nmi: noStrays(),
    otherTask: noStrays(),
    otherCpu: noStrays(),
    sameTask: noStrays(),
  };
  /** Outside the canary, in the order in which they landed. */
  readonly landed: LandedStray[] = [];
  readonly #base: number;
  readonly #canary: ImageExtent;
  /** Stray stores executed at an address and not seen in memory: nobody else stores 4 bytes unaligned. */
  readonly #attempted = new Map<number, StrayContext>();

  constructor(base: number, canary: ImageExtent) {
    this.#base = base;
    this.#canary = canary;
  }

  /** A stray store is about to be executed. */
  attempt(physical: number, context: StrayContext, whileOpen: boolean): void {
    const counts = this.counts[context];
    counts.attempted++;
    counts.stopped++;
    if (whileOpen) counts.whileOpen++;
    this.#attempted.set(physical, context);
  }

  cell(): void {}

  /** Memory is about to change. */
  bytes(chunk: Chunk, offset: number, length: number): void {
    if (length !== STORE_SIZE || (offset & 3) === 0) return;
    const physical = chunk.index * CHUNK_SIZE + offset;
    const context = this.#attempted.get(physical);
    if (context === undefined) return;
    this.#attempted.delete(physical);
    const counts = this.counts[context];
    counts.stopped--;
    const at = physical - this.#base;
    const { start, size } = this.#canary;
    if (context === 'sameTask' && at >= start && at < start + size) counts.insideWindow++;
    else {
      counts.reached++;
      this.landed.push({ context, offset: at });
    }
  }
}
