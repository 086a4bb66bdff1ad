// SPDX-License-Identifier: MIT
// The line on stderr that says how far a run is.

import { setImmediate } from 'node:timers/promises';
import type { PhaseProgress } from '@pkslab/selftests';
import type { Io } from '../options.ts';
import type { Interrupt } from './interrupt.ts';

const REDRAW_MS = 100;
/** Without a terminal a line is written for each tenth of the run. */
const LINES = 10;

export class ProgressLine {
  readonly #io: Io;
  readonly #name: string;
  readonly #transactions: number;
  readonly #live: boolean = process.stderr.isTTY === true;
  readonly #started: number = performance.now();
  #drawn = 0;
  #tenth = 0;

  constructor(io: Io, name: string, transactions: number) {
    this.#io = io;
    this.#name = name;
    this.#transactions = transactions;
  }

  /** Draws, and lets signals in; whether to go on. */
  async show(progress: PhaseProgress, interrupt: Interrupt): Promise<boolean> {
    this.#draw(progress);
    await setImmediate();
    return !interrupt.requested;
  }

  #draw(progress: PhaseProgress): void {
    const now = performance.now();
    const tenth = Math.floor((progress.transactions * LINES) / this.#transactions);
    if (this.#live ? now - this.#drawn < REDRAW_MS : tenth === this.#tenth) return;
    this.#drawn = now;
    this.#tenth = tenth;
    const { transactions, attempted, stopped, insideWindow, reached } = progress;
    const seconds = ((now - this.#started) / 1000).toFixed(1);
    const text = `${this.#name}: ${transactions}/${this.#transactions} transactions, ${attempted} strays: ${stopped} stopped, ${insideWindow} inside a window, ${reached} reached data; ${seconds} s`;
    this.#io.stderr(this.#live ? `\r\x1b[K${text}` : `${text}\n`);
  }

  end(): void {
    if (this.#live) this.#io.stderr('\n');
  }
}
