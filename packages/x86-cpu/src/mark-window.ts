// SPDX-License-Identifier: MIT
// A window of software that checkers know by name, for code that passes it often.

import { watched } from './attachment.ts';
import type { Machine } from './machine.ts';

/** One mark of a machine: `begin()` and `end()` are `machine.mark(id, 1)` and `machine.mark(id, 0)`. */
export class MarkWindow {
  private readonly machine: Machine;
  private readonly id: number;

  constructor(machine: Machine, id: number) {
    this.machine = machine;
    this.id = id;
  }

  begin(): void {
    if (watched !== null) this.pass(1);
  }

  end(): void {
    if (watched !== null) this.pass(0);
  }

  /** Ends this one and begins another at once. */
  handOver(next: MarkWindow): void {
    if (watched !== null) this.passTo(next);
  }

  private passTo(next: MarkWindow): void {
    this.pass(0);
    next.pass(1);
  }

  private pass(begin: number): void {
    this.machine.mark(this.id, begin);
  }
}
