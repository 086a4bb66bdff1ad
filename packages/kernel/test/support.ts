// SPDX-License-Identifier: MIT
// What tests of this package share.

import type { Column } from '@pkslab/x86-cpu';
import { type BootOptions, boot, type Kernel, PAGE_OFFSET } from '../src/index.ts';

/** An address in the direct map, in RAM that nobody has allocated. */
export const RAM: number = PAGE_OFFSET + 0x100_0000;

/** An address in the kernel half that nothing maps. */
export const WILD: number = -0x1000;

/** A list that lives in machine cells: a task that is run again from its record adds nothing twice. */
export class Notes {
  readonly #cells: Column;
  readonly #next: Column;

  constructor(kernel: Kernel) {
    const { machine } = kernel;
    this.#cells = machine.column({
      name: 'test.notes',
      type: 'i32',
      initial: 0,
      per: 'object',
      count: 256,
    });
    this.#next = machine.column({ name: 'test.next', type: 'u32', initial: 0, per: 'global' });
  }

  add(value: number): void {
    this.#cells.set(this.#next.add(0, 1) - 1, value);
  }

  get all(): readonly number[] {
    return [...this.#cells.values.slice(0, this.#next.values[0])];
  }
}

/** A booted kernel and its notes. */
export function booted(options: BootOptions = {}): { kernel: Kernel; notes: Notes } {
  const kernel = boot(options);
  return { kernel, notes: new Notes(kernel) };
}

/** The lines of dmesg after the boot message. */
export function reported(kernel: Kernel): readonly string[] {
  return kernel.dmesg.slice(1);
}
