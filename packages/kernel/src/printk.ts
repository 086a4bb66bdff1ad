// SPDX-License-Identifier: MIT
// The printk ring: append-only output, outside the machine's state. kernel/printk/printk.c

const RING_LINES = 4096;

/**
 * The kernel log: the last 4096 lines, without times, since the machine has no clock.
 *
 * Use `kernel.dmesg` to read it and `onLine` to follow it. It is output, outside the state of the machine.
 *
 * @example
 * const kernel = boot();
 * kernel.print('x86/pkeys: hello');
 * kernel.dmesg[1]; // => 'x86/pkeys: hello'
 */
export class PrintkRing {
  readonly #lines: string[] = [];
  readonly #firstTime: () => boolean;
  /** Called with each line as it is printed. */
  onLine: ((line: string) => void) | null = null;
  /** While a checker runs code that it will undo, nothing is printed. */
  muted = false;

  /** @param firstTime false where a task that is run again from its record passes this point again */
  constructor(firstTime: () => boolean = () => true) {
    this.#firstTime = firstTime;
  }

  /** printk: one or more lines. */
  print(text: string): void {
    if (!this.#firstTime() || this.muted) return;
    for (const line of text.split('\n')) {
      this.#lines.push(line);
      if (this.#lines.length > RING_LINES) this.#lines.shift();
      this.onLine?.(line);
    }
  }

  /** What dmesg shows, oldest line first. */
  get dmesg(): readonly string[] {
    return this.#lines;
  }

  /** dmesg --clear */
  clear(): void {
    this.#lines.length = 0;
  }
}
