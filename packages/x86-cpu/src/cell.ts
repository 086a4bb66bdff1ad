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

  constructor(machine: CellOwner, id: number, field: FieldDefinition, count: number) {
    this.machine = machine;
    this.id = id;
    this.field = field;
    this.values = new Float64Array(count).fill(field.initial);
    this.nameHash = hashName(field.name);
    this.#wrap = WRAP[field.type];
  }

  get(index: number): number {
    const hook = this.machine.hook;
    return hook === null
      ? (this.values[index] as number)
      : hook.operate(Op.get, this.id, index, 0, 0);
  }

  set(index: number, value: number): void {
    const hook = this.machine.hook;
    if (hook === null) this.values[index] = value;
    else hook.operate(Op.set, this.id, index, value, 0);
  }

  /** A value that is constant for the running context: no event can come before the read. */
  getLocal(index: number): number {
    const hook = this.machine.hook;
    return hook === null
      ? (this.values[index] as number)
      : hook.operate(Op.getLocal, this.id, index, 0, 0);
  }

  /** Adds, and returns the new value. One instruction. */
  add(index: number, addend: number): number {
    const hook = this.machine.hook;
    if (hook !== null) return hook.operate(Op.add, this.id, index, addend, 0);
    const value = this.wrap((this.values[index] as number) + addend);
    this.values[index] = value;
    return value;
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
    const { machine, values, id } = this.column;
    const hook = machine.hook;
    return hook === null
      ? (values[machine.cpu.index] as number)
      : hook.operate(Op.thisCpuGet, id, 0, 0, 0);
  }

  /** this_cpu_write */
  write(value: number): void {
    const { machine, values, id } = this.column;
    const hook = machine.hook;
    if (hook === null) values[machine.cpu.index] = value;
    else hook.operate(Op.thisCpuSet, id, 0, value, 0);
  }

  /** this_cpu_add_return: one instruction. */
  add(addend: number): number {
    const { machine, values, id } = this.column;
    const hook = machine.hook;
    if (hook !== null) return hook.operate(Op.thisCpuAdd, id, 0, addend, 0);
    const value = this.column.wrap((values[machine.cpu.index] as number) + addend);
    values[machine.cpu.index] = value;
    return value;
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
