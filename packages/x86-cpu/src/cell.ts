// SPDX-License-Identifier: MIT
// Cells: shared state that is not memory. A cell is (field, object index); a field is one column.

import { watched } from './attachment.ts';
import { Op, type OperationHook, THIS_CPU } from './operation.ts';

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

/** The contents of a column. */
export type CellValues = Float64Array | Uint32Array | Int32Array;

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

/** The bits of the unsigned types. */
const MASK: Readonly<Partial<Record<CellType, number>>> = {
  u8: 0xff,
  u16: 0xffff,
  u32: -1,
  bool: 1,
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
  readonly values: CellValues;
  /** Stable across runs and machines: made of the field's name. */
  readonly nameHash: number;
  /** Called after a cell changed by other means than an unattached `set`: keeps derived state in step. */
  changed: ((index: number) => void) | null;

  constructor(machine: CellOwner, id: number, field: FieldDefinition, values: CellValues) {
    this.machine = machine;
    this.id = id;
    this.field = field;
    this.values = values.fill(field.initial);
    this.nameHash = hashName(field.name);
    this.changed = null;
  }

  // The methods of kernel code's hot paths are short enough to be inlined anywhere; what they do while somebody
  // watches is kept apart.

  get(index: number): number {
    return watched !== null ? this.getWatched(index) : (this.values[index] as number);
  }

  protected getWatched(index: number): number {
    const { hook } = this.machine;
    if (hook !== null) return hook.operate(Op.get, this.id, index, 0, 0);
    return this.values[index] as number;
  }

  set(index: number, value: number): void {
    if (watched !== null) this.setWatched(index, value);
    else this.values[index] = value;
  }

  protected setWatched(index: number, value: number): void {
    const { hook } = this.machine;
    if (hook !== null) hook.operate(Op.set, this.id, index, value, 0);
    else this.values[index] = value;
  }

  /** A value that is constant for the running context: no event can come before the read. */
  getLocal(index: number): number {
    const { hook } = this.machine;
    if (hook !== null) return hook.operate(Op.getLocal, this.id, index, 0, 0);
    return this.values[index === THIS_CPU ? this.machine.cpu.index : index] as number;
  }

  /** Adds, and returns the new value. One instruction. */
  add(index: number, addend: number): number {
    if (watched !== null) return this.addWatched(index, addend);
    const value = this.wrap((this.values[index] as number) + addend);
    this.values[index] = value;
    return value;
  }

  protected addWatched(index: number, addend: number): number {
    const { hook } = this.machine;
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

  /**
   * What a retry loop (cmpxchg, a seqlock's reader) says before it begins again: goes on once the cell is no
   * longer what the loop read, `seen`. Without it the loop would spin for ever where nobody else runs. A loop that
   * read several cells says `Machine.retryAny`: with one of them alone it sleeps through a change of the others.
   */
  retry(index: number, seen: number): void {
    const hook = this.machine.hook;
    if (hook !== null) hook.operate(Op.retry, this.id, index, seen, 0);
    else this.machine.executeOrWait(Op.retry, this.id, index, seen, 0);
  }

  /** Reduces a value to the field's type, as a store to the C field does. */
  wrap(value: number): number {
    return value;
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

/** A column of an unsigned type: the same methods over integers, each a function of its own for V8. */
class WordColumn extends Column {
  declare readonly values: Uint32Array;
  private readonly mask: number;

  constructor(machine: CellOwner, id: number, field: FieldDefinition, count: number) {
    super(machine, id, field, new Uint32Array(count));
    this.mask = MASK[field.type] ?? -1;
  }

  override get(index: number): number {
    return watched !== null ? this.getWatched(index) : (this.values[index] as number);
  }

  override set(index: number, value: number): void {
    if (watched !== null) this.setWatched(index, value);
    else this.values[index] = value;
  }

  override add(index: number, addend: number): number {
    if (watched !== null) return this.addWatched(index, addend);
    this.values[index] = ((this.values[index] as number) + addend) & this.mask;
    return this.values[index] as number;
  }

  override wrap(value: number): number {
    return (value & this.mask) >>> 0;
  }
}

/** The same for `i32`. */
class IntColumn extends Column {
  declare readonly values: Int32Array;

  constructor(machine: CellOwner, id: number, field: FieldDefinition, count: number) {
    super(machine, id, field, new Int32Array(count));
  }

  override get(index: number): number {
    return watched !== null ? this.getWatched(index) : (this.values[index] as number);
  }

  override set(index: number, value: number): void {
    if (watched !== null) this.setWatched(index, value);
    else this.values[index] = value;
  }

  override add(index: number, addend: number): number {
    if (watched !== null) return this.addWatched(index, addend);
    this.values[index] = (this.values[index] as number) + addend;
    return this.values[index] as number;
  }

  override wrap(value: number): number {
    return value | 0;
  }
}

/** Makes the column of a field. */
export function makeColumn(
  machine: CellOwner,
  id: number,
  field: FieldDefinition,
  count: number,
): Column {
  if (field.type === 'i32') return new IntColumn(machine, id, field, count);
  if (MASK[field.type] !== undefined) return new WordColumn(machine, id, field, count);
  return new Column(machine, id, field, new Float64Array(count));
}

/**
 * A per-CPU column: `this_cpu_*` operations resolve the CPU at the operation, so they stay right when the
 * task migrates between two of them.
 */
export class PerCpu {
  readonly column: Column;
  private readonly values: CellValues;
  private readonly machine: CellOwner;

  constructor(column: Column) {
    this.column = column;
    this.values = column.values;
    this.machine = column.machine;
  }

  /** this_cpu_read */
  read(): number {
    if (watched !== null) return this.readWatched();
    return this.values[this.machine.cpu.index] as number;
  }

  private readWatched(): number {
    const { column } = this;
    const { hook, cpu } = this.machine;
    if (hook !== null) return hook.operate(Op.thisCpuGet, column.id, 0, 0, 0);
    return column.values[cpu.index] as number;
  }

  /** this_cpu_read of a value that is constant for the running context, as `current` is: no event before it. */
  readLocal(): number {
    if (watched !== null) return this.readLocalWatched();
    return this.values[this.machine.cpu.index] as number;
  }

  private readLocalWatched(): number {
    return this.column.getLocal(THIS_CPU);
  }

  /** this_cpu_write */
  write(value: number): void {
    if (watched !== null) this.writeWatched(value);
    else this.values[this.machine.cpu.index] = value;
  }

  private writeWatched(value: number): void {
    const { column } = this;
    const { hook, cpu } = this.machine;
    if (hook !== null) hook.operate(Op.thisCpuSet, column.id, 0, value, 0);
    else column.values[cpu.index] = value;
  }

  /** this_cpu_add_return: one instruction. */
  add(addend: number): number {
    if (watched !== null) return this.addWatched(addend);
    return this.column.add(this.machine.cpu.index, addend);
  }

  /** this_cpu_inc of a 32-bit field: one instruction, the same operation as `add(1)`. */
  inc(): void {
    if (watched !== null) this.addWatched(1);
    else (this.values[this.machine.cpu.index] as number)++;
  }

  /** this_cpu_dec, likewise. */
  dec(): void {
    if (watched !== null) this.addWatched(-1);
    else (this.values[this.machine.cpu.index] as number)--;
  }

  private addWatched(addend: number): number {
    const { column } = this;
    const { hook, cpu } = this.machine;
    if (hook !== null) return hook.operate(Op.thisCpuAdd, column.id, 0, addend, 0);
    return column.add(cpu.index, addend);
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
