// SPDX-License-Identifier: MIT
// Who has touched each cell so far: what is private to a CPU or to a task, and what is shared.

import type { Column, Machine } from '@pkslab/x86-cpu';

// Four bytes for each cell: readers as CPUs, writers as CPUs, readers as tasks, writers as tasks.
// 0: nobody yet; n + 1: n alone; 255: more than one.
const MANY = 255;
const SHARED = 0xffff_ffff;

/** A degree of sharing up to which every access is local. */
const PRIVATE = 2;

/**
 * Ownership of cells, learnt from the accesses that a search makes.
 *
 * A reader is local if nobody else writes, a writer if nobody else touches the cell; "else" is another CPU, or
 * another task: a task's own cells go with it to another CPU.
 */
export class Owners {
  /** Set where something that was local to somebody turned out not to be: reductions relied on it. */
  broken = false;
  readonly #machine: Machine;
  readonly #columns: (Uint32Array | undefined)[] = [];
  /** All of memory counts as one cell. */
  #memory = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** An access by a task on a CPU. */
  note(column: Column, index: number, cpu: number, task: number, writes: boolean): void {
    const cells = this.#cellsOf(column);
    const old = cells[index] as number;
    const next = joined(old, cpu, task, writes);
    if (next === old) return;
    cells[index] = next;
    this.#compare(old, next);
  }

  noteMemory(cpu: number, task: number, writes: boolean): void {
    const next = joined(this.#memory, cpu, task, writes);
    if (next === this.#memory) return;
    this.#compare(this.#memory, next);
    this.#memory = next;
  }

  /** Somebody may touch any cell of a column at any time. */
  share(column: Column): void {
    const cells = this.#cellsOf(column);
    for (const old of cells) if (old !== SHARED) this.#compare(old, SHARED);
    cells.fill(SHARED);
  }

  shareMemory(): void {
    if (this.#memory !== SHARED) this.#compare(this.#memory, SHARED);
    this.#memory = SHARED;
  }

  /** Whether an access concerns nobody but the task and its CPU, as far as is known. */
  isLocal(column: Column, index: number, cpu: number, task: number, writes: boolean): boolean {
    return isLocal(this.#cellsOf(column)[index] as number, cpu, task, writes);
  }

  isMemoryLocal(cpu: number, task: number, writes: boolean): boolean {
    return isLocal(this.#memory, cpu, task, writes);
  }

  #cellsOf(column: Column): Uint32Array {
    let cells = this.#columns[column.id];
    if (cells === undefined) {
      cells = new Uint32Array(this.#machine.columns[column.id]?.values.length ?? 0);
      this.#columns[column.id] = cells;
    }
    return cells;
  }

  #compare(old: number, next: number): void {
    if (old === 0) return;
    const cpus = sharing(next & 0xffff);
    const tasks = sharing(next >>> 16);
    // All accesses so far are of one CPU or of one task: each of them was local, and is.
    if (cpus <= PRIVATE || tasks <= PRIVATE) return;
    if (cpus > sharing(old & 0xffff) || tasks > sharing(old >>> 16)) this.broken = true;
  }
}

function joined(cell: number, cpu: number, task: number, writes: boolean): number {
  const shift = writes ? 8 : 0;
  const asCpu = merge((cell >>> shift) & MANY, cpu + 1);
  const asTask = merge((cell >>> (shift + 16)) & MANY, task + 1);
  const kept = cell & ~((MANY << shift) | (MANY << (shift + 16)));
  return (kept | (asCpu << shift) | (asTask << (shift + 16))) >>> 0;
}

function merge(known: number, one: number): number {
  return known === 0 || known === one ? one : MANY;
}

function isLocal(cell: number, cpu: number, task: number, writes: boolean): boolean {
  const own = (half: number, me: number): boolean => {
    const reader = half & MANY;
    const writer = half >>> 8;
    return (writer === 0 || writer === me) && (!writes || reader === 0 || reader === me);
  };
  return own(cell & 0xffff, cpu + 1) || own(cell >>> 16, task + 1);
}

/** Of one half of a cell: 0 only read, 2 private to one, 3 one writer and other readers, 4 several writers. */
function sharing(half: number): number {
  const reader = half & MANY;
  const writer = half >>> 8;
  if (writer === 0) return 0;
  if (writer === MANY) return 4;
  return reader === 0 || reader === writer ? PRIVATE : 3;
}
