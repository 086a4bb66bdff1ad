// SPDX-License-Identifier: MIT
// What simulated programs write: each line once, though a task's code may run again from its record.

import { type Kernel, Mark } from '@pkslab/kernel';
import { Op } from '@pkslab/x86-cpu';

/** Append-only output of a kernel's tasks, outside the state of the machine. */
export class Output {
  readonly #lines: string[] = [];
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  write(line: string): void {
    const passed = this.#kernel.machine.operate(Op.mark, Mark.printk, 1, 0, 0);
    if (passed === 0) this.#lines.push(line);
  }

  get lines(): readonly string[] {
    return this.#lines;
  }
}
