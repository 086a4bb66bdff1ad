// SPDX-License-Identifier: MIT
// How far a command is: nothing in the first two seconds.

import type { Io } from './options.ts';

const QUIET_MS = 2000;
const REDRAW_MS = 100;

/** On a terminal one line that is drawn again, elsewhere a line every two seconds. */
export class Progress {
  readonly #io: Io;
  readonly #live: boolean;
  readonly #now: () => number;
  #next: number;
  #drawn = false;

  constructor(
    io: Io,
    live: boolean = process.stderr.isTTY === true,
    now: () => number = () => performance.now(),
  ) {
    this.#io = io;
    this.#live = live;
    this.#now = now;
    this.#next = now() + QUIET_MS;
  }

  show(text: () => string): void {
    const now = this.#now();
    if (now < this.#next) return;
    this.#next = now + (this.#live ? REDRAW_MS : QUIET_MS);
    this.#drawn = true;
    this.#io.stderr(this.#live ? `\r\x1b[K${text()}` : `${text()}\n`);
  }

  end(): void {
    if (this.#live && this.#drawn) this.#io.stderr('\n');
  }
}
