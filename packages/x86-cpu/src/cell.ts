// SPDX-License-Identifier: MIT
// Cells: shared state that is not memory. A cell is (field, object index); a field is one column.

import { Op, type OperationHook } from './operation.ts';

/** What a column needs of its machine. */
export interface CellOwner {
  readonly hook: OperationHook | null;
  readonly journal: {
    cell(column: Column, index: number, old: number, value: number): void;
  } | null;
  readonly cpu: { readonly index: number };
  executeOrWait(kind: number, a: number, b: number, c: number, d: number): number;
}

/** What a cell of a field may hold; all are exact in a number. */
export type CellType = 'u8' | 'u16' | 'u32' | 'i32' | 'address' | 'bool';

/** What fork does to a task's cell: copies the parent's, or starts from a value. */
export type ForkPolicy = 'copy' | 'initial';

/**
 * Declares one column of cells: the owner package makes one constant for each field.
 *
 * @example
 * const pkrsCache: FieldDefinition = { name: 'pkrs_cache', type: 'u32', initial: 0, per: 'cpu' };
 */
export interface FieldDefinition {
  /** The C name; it is the identity of the field in hashes and traces. */
  readonly name: string;
  readonly type: CellType;
  readonly initial: number;
  /** What the index counts. */
  readonly per: 'cpu' | 'task' | 'global' | 'page' | 'object';
  /** For `per: 'task'`. Default `initial`. */
  readonly fork?: ForkPolicy;
  /** How many objects; default by `per` (CPUs and tasks of the machine, 1 for `global`). */
  readonly count?: number;
}

/** Lowest and highest value of each type. */
const RANGE: Readonly<Record<CellType, readonly [number, number]>> = {
  u8: [0, 0xff],
  u16: [0, 0xffff],
  u32: [0, 0xffff_ffff],
  i32: [-0x8000_0000, 0x7fff_ffff],
  bool: [0, 1],
  address: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};

const WRAP: Readonly<Record<CellType, (value: number) => number>> = {
  u8: (value) => value & 0xff,
  u16: (value) => value & 0xffff,
  u32: (value) => value >>> 0,
  i32: (value) => value | 0,
  bool: (value) => (value === 0 ? 0 : 1),
  address: (value) => value,
};

/**
 * A column of cells, bound to one machine; each method is one machine operation.
 *
 * `get` then `set` is a plain C `x++` and may be torn apart by an event; `add`, `exchange`,
 * `compareExchange` and the bit operations are read-modify-write instructions and may not.
 */
export class Column {
  readonly machine: CellOwner;
  readonly id: number;
  readonly field: FieldDefinition;
  /** The contents, for whoever executes operations or inspects a stopped machine; never for kernel code. */
  readonly values: Float64Array;
  /** Stable across runs and machines: made of the field's name. */
  readonly nameHash: number;
  /** Called after a cell changed by other means than an unattached `set`: keeps derived state in step. */
  changed: ((index: number) => void) | null = null;
  readonly #wrap: (value: number) => number;
  readonly #min: number;
  readonly #max: number;

  constructor(machine: CellOwner, id: number, field: FieldDefinition, count: number) {
    this.machine = machine;
    this.id = id;
    this.field = field;
    this.values = new Float64Array(count).fill(field.initial);
    this.nameHash = hashName(field.name);
    this.#wrap = WRAP[field.type];
    [this.#min, this.#max] = RANGE[field.type];
  }

  get(index: number): number {
    if (this.machine.hook !== null) return this.attached(Op.get, index, 0);
    return this.values[index] as number;
  }

  set(index: number, value: number): void {
    if (this.machine.hook !== null) this.attached(Op.set, index, value);
    else this.values[index] = value;
  }

  /** A value that is constant for the running context: no event can come before the read. */
  getLocal(index: number): number {
    if (this.machine.hook !== null) return this.attached(Op.getLocal, index, 0);
    return this.values[index] as number;
  }

  /** Adds, and returns the new value. One instruction. */
  add(index: number, addend: number): number {
    if (this.machine.hook !== null) return this.attached(Op.add, index, addend);
    let value = (this.values[index] as number) + addend;
    if (value < this.#min || value > this.#max) value = this.wrap(value);
    this.values[index] = value;
    return value;
  }

  /** The operation through the hook: kept apart so that the unattached paths stay small enough to inline. */
  attached(kind: number, index: number, value: number): number {
    const { hook } = this.machine;
    if (hook === null)
      throw new Error(`operation ${kind} on ${this.field.name}: nobody is attached`);
    return hook.operate(kind, this.id, index, value, 0);
  }

  /** Stores and returns the old value. One instruction. */
  exchange(index: number, value: number): number {
    const hook = this.machine.hook;
    if (hook !== null) return hook.operate(Op.exchange, this.id, index, value, 0);
    const old = this.values[index] as number;
    this.values[index] = value;
    return old;
  }

  /** Stores `value` if the cell holds `expected`; returns the old value. One instruction. */
  compareExchange(index: number, expected: number, value: number): number {
    const hook = this.machine.hook;
    if (hook !== null) return hook.operate(Op.compareExchange, this.id, index, expected, value);
    const old = this.values[index] as number;
    if (old === expected) this.values[index] = value;
    return old;
  }

  /** Sets a bit and returns what it was. One instruction. */
  testAndSetBit(index: number, bit: number): number {
    const hook = this.machine.hook;
    if (hook !== null) return hook.operate(Op.testAndSetBit, this.id, index, bit, 0);
    const old = this.values[index] as number;
    this.values[index] = (old | (1 << bit)) >>> 0;
    return (old >>> bit) & 1;
  }

  /** Clears a bit and returns what it was. One instruction. */
  testAndClearBit(index: number, bit: number): number {
    const hook = this.machine.hook;
    if (hook !== null) return hook.operate(Op.testAndClearBit, this.id, index, bit, 0);
    const old = this.values[index] as number;
    this.values[index] = (old & ~(1 << bit)) >>> 0;
    return (old >>> bit) & 1;
  }

  /** Waits until the cell is 0 and sets it to `value`, in one step. */
  lock(index: number, value: number): void {
    const hook = this.machine.hook;
    if (hook !== null) hook.operate(Op.lock, this.id, index, value, 0);
    else this.machine.executeOrWait(Op.lock, this.id, index, value, 0);
  }

  /** Goes on once the cell equals `value`. */
  wait(index: number, value: number): void {
    const hook = this.machine.hook;
    if (hook !== null) hook.operate(Op.wait, this.id, index, value, 0);
    else this.machine.executeOrWait(Op.wait, this.id, index, value, 0);
  }

  /** Reduces a value to the field's type, as a store to the C field does. */
  wrap(value: number): number {
    return this.#wrap(value);
  }

  /** Changes a cell as an executed operation does: journalled, derived state kept in step. */
  poke(index: number, value: number): void {
    const old = this.values[index] as number;
    if (old === value) return;
    this.machine.journal?.cell(this, index, old, value);
    this.values[index] = value;
    this.changed?.(index);
  }
}

/**
 * A per-CPU column: `this_cpu_*` operations resolve the CPU at the operation, so they stay right when the
 * task migrates between two of them.
 */
export class PerCpu {
  readonly column: Column;

  constructor(column: Column) {
    this.column = column;
  }

  /** this_cpu_read */
  read(): number {
    const { column } = this;
    const { machine } = column;
    if (machine.hook !== null) return column.attached(Op.thisCpuGet, 0, 0);
    return column.values[machine.cpu.index] as number;
  }

  /** this_cpu_write */
  write(value: number): void {
    const { column } = this;
    const { machine } = column;
    if (machine.hook !== null) column.attached(Op.thisCpuSet, 0, value);
    else column.values[machine.cpu.index] = value;
  }

  /** this_cpu_add_return: one instruction. */
  add(addend: number): number {
    const { column } = this;
    const { machine } = column;
    if (machine.hook !== null) return column.attached(Op.thisCpuAdd, 0, addend);
    return column.add(machine.cpu.index, addend);
  }
}

/** FNV-1a of a name: the part of a cell's identity that does not depend on what else is loaded. */
export function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) {
    hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}
