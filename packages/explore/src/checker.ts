// SPDX-License-Identifier: MIT
// Runs the invariants of a scenario, and shows them what they look at.

import { Mark } from '@pkslab/kernel';
import { type Column, EXTABLE, KIND_MASK, type Machine } from '@pkslab/x86-cpu';
import type { FrameKind, Invariant, View, WatchedCell } from './invariant.ts';
import type { Node } from './node.ts';
import { memoryAccess } from './reach.ts';
import { MAX_DEPTH, type Stacks } from './stacks.ts';

/** A violated invariant, found by the step that was just made. */
export interface Violation {
  readonly invariant: string;
  readonly message: string;
}

/** A handler that has changed the interrupted context's rights on purpose need not leave them as they were. */
const UPDATED: number = 1 << Mark.updateException;

export class Checker implements View {
  violation: Violation | null = null;
  // View
  cpu = 0;
  task = 0;
  frame: FrameKind = 'task';
  windows = 0;
  grants = 0;
  readonly #stacks: Stacks;
  readonly #machine: Machine;
  readonly #invariants: readonly Invariant[];
  readonly #boundary: readonly { readonly check: Invariant; readonly suspends: number }[];
  readonly #marks: readonly Invariant[];
  readonly #accesses: readonly Invariant[];
  readonly #operations: readonly Invariant[];
  readonly #preserved: readonly { readonly cell: WatchedCell; readonly id: string }[];
  /** For each context: what the context below it had in the preserved cells. */
  readonly #kept: Column;

  constructor(machine: Machine, stacks: Stacks, invariants: readonly Invariant[]) {
    this.#machine = machine;
    this.#stacks = stacks;
    this.#invariants = invariants;
    this.#boundary = invariants
      .filter((check) => check.boundary !== undefined)
      .map((check) => ({ check, suspends: windowBits(check) }));
    this.#marks = invariants.filter((check) => check.mark !== undefined);
    this.#accesses = invariants.filter((check) => check.access !== undefined);
    this.#operations = invariants.filter((check) => check.operation !== undefined);
    this.#preserved = invariants.flatMap((check) =>
      (check.preserves ?? []).map((cell) => ({ cell, id: check.id })),
    );
    const count = machine.tasks * MAX_DEPTH * Math.max(1, this.#preserved.length);
    const name = 'explore.kept';
    this.#kept = machine.column({ name, type: 'address', initial: 0, per: 'object', count });
  }

  get grantsElsewhere(): boolean {
    const { depth } = this.#stacks;
    for (let task = 0; task < this.#machine.tasks; task++) {
      const contexts = (depth.values[task] as number) - (task === this.task ? 1 : 0);
      for (let i = 0; i < contexts; i++) if (this.#stacks.at(task, i).grants > 0) return true;
    }
    return false;
  }

  /** Sets the view to the innermost context of a task, at `node`. */
  look(task: number, node: Node): void {
    this.task = task;
    this.frame = (this.#stacks.depth.values[task] as number) === 1 ? 'task' : node.routine.frame;
    this.windows = node.windows;
    this.grants = node.grants;
  }

  /** After a step: the innermost context of a CPU is at its next operation. */
  boundary(cpu: number, task: number): void {
    this.cpu = cpu;
    this.look(task, this.#stacks.top(task));
    for (const { check, suspends } of this.#boundary) {
      if ((this.windows & suspends) !== 0) continue;
      const message = (check.boundary as (view: View) => string | null)(this);
      if (message !== null) this.violate(check.id, message);
    }
  }

  /** The kernel's code passes a mark. */
  mark(task: number, node: Node): void {
    if (node.b === 0) return;
    this.look(task, node);
    if (node.a === Mark.restored && (node.windows & UPDATED) === 0) this.#comparePreserved();
    for (const check of this.#marks)
      this.#report(check, check.mark?.(this, node.a, node.c) ?? null);
  }

  /** An operation went through: if it accesses memory, checks of accesses are asked. */
  access(task: number, node: Node): void {
    if (this.#accesses.length === 0) return;
    const access = memoryAccess(node.kind, node.a, node.b, node.c);
    if (access === null) return;
    this.look(task, node);
    const { address, size, source } = access;
    for (const check of this.#accesses) {
      this.#report(check, check.access?.(this, address, size) ?? null);
      if (source !== null) this.#report(check, check.access?.(this, source, size) ?? null);
    }
  }

  /** An operation was executed. */
  operation(task: number, node: Node, result: number): void {
    if (this.#operations.length === 0) return;
    this.look(task, node);
    const op = node.kind & KIND_MASK;
    for (const check of this.#operations) {
      const { a, b, c, d } = node;
      this.#report(check, check.operation?.(this, op, a, b, c, d, result) ?? null);
    }
  }

  fault(task: number, node: Node, errorCode: number, address: number): void {
    this.look(task, node);
    const fixup = (node.kind & EXTABLE) !== 0;
    for (const check of this.#invariants) {
      this.#report(check, check.fault?.(this, errorCode, address, fixup) ?? null);
    }
  }

  end(): void {
    for (const check of this.#invariants) this.#report(check, check.end?.(this) ?? null);
  }

  /** Says that something is wrong; the first word counts. */
  violate(invariant: string, message: string): void {
    this.violation ??= { invariant, message };
  }

  #report(check: Invariant, message: string | null): void {
    if (message !== null) this.violate(check.id, message);
  }

  /** Keeps what the context that is about to be entered must leave unchanged. */
  keep(task: number): void {
    this.task = task;
    const depth = this.#stacks.depth.values[task] as number;
    const base = (task * MAX_DEPTH + depth) * this.#preserved.length;
    for (let i = 0; i < this.#preserved.length; i++) {
      const { cell } = this.#preserved[i] as { cell: WatchedCell };
      this.#kept.poke(base + i, cell.column.values[cell.index(this)] as number);
    }
  }

  /** The innermost context has ended: what was kept for it must not tell states apart any more. */
  forget(task: number): void {
    const depth = this.#stacks.depth.values[task] as number;
    const base = (task * MAX_DEPTH + depth) * this.#preserved.length;
    for (let i = 0; i < this.#preserved.length; i++) this.#kept.poke(base + i, 0);
  }

  #comparePreserved(): void {
    const depth = (this.#stacks.depth.values[this.task] as number) - 1;
    const base = (this.task * MAX_DEPTH + depth) * this.#preserved.length;
    for (const [i, { cell, id }] of this.#preserved.entries()) {
      const before = this.#kept.values[base + i] as number;
      const now = cell.column.values[cell.index(this)] as number;
      if (before === now) continue;
      const { name } = cell.column.field;
      this.violate(
        id,
        `a handler was entered with ${name} = ${hex(before)} and leaves ${hex(now)}`,
      );
    }
  }
}

/** The windows that suspend an invariant, a bit each. */
function windowBits(check: Invariant): number {
  return (check.suspendedIn ?? []).reduce((bits, window) => bits | (1 << Mark[window]), 0);
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
