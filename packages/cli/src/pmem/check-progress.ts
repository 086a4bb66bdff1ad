// SPDX-License-Identifier: MIT
// How far pkslab pmem check is: nothing in the first two seconds.

import type { Io } from '../options.ts';

const QUIET_MS = 2000;
const REDRAW_MS = 100;
const MIB: number = 2 ** 20;

/** On a terminal one line that is drawn again, elsewhere a line every two seconds. */
export class CheckProgress {
  readonly #io: Io;
  readonly #path: string;
  readonly #live: boolean;
  readonly #now: () => number;
  #next: number;
  #drawn = false;

  constructor(
    io: Io,
    path: string,
    live: boolean = process.stderr.isTTY === true,
    now: () => number = () => performance.now(),
  ) {
    this.#io = io;
    this.#path = path;
    this.#live = live;
    this.#now = now;
    this.#next = now() + QUIET_MS;
  }

  show(done: number, size: number): void {
    const now = this.#now();
    if (now < this.#next) return;
    this.#next = now + (this.#live ? REDRAW_MS : QUIET_MS);
    this.#drawn = true;
    const percent = Math.floor((100 * done) / size);
    const text = `${this.#path}: ${Math.floor(done / MIB)} of ${Math.ceil(size / MIB)} MiB checked, ${percent} %`;
    this.#io.stderr(this.#live ? `\r\x1b[K${text}` : `${text}\n`);
  }

  end(): void {
    if (this.#live && this.#drawn) this.#io.stderr('\n');
  }
}
