// SPDX-License-Identifier: MIT
// The cells that an operation waits for. A retry may wait for any of several: operands are numbers, so its list of
// cells has a number.

import type { CellOwner, Column } from './cell.ts';
import { KIND_MASK, Op } from './operation.ts';

/** A cell, and what a loop read there. */
export interface SeenCell {
  readonly column: Column;
  readonly index: number;
  readonly seen: number;
}

/** The same by the column's number, as machines that were set up alike share it. */
interface Seen {
  readonly column: number;
  readonly index: number;
  readonly seen: number;
}

// The same list has the same number whenever and on whatever machine it is asked for: operations are compared.
const lists: (readonly Seen[])[] = [];
const numbers = new Map<string, number>();

function numberOf(list: readonly Seen[]): number {
  const key = list.map(({ column, index, seen }) => `${column} ${index} ${seen}`).join();
  let number = numbers.get(key);
  if (number === undefined) {
    number = lists.push(list) - 1;
    numbers.set(key, number);
  }
  return number;
}

/** Goes on once any of the cells is no longer what was seen there. */
export function retryAny(machine: CellOwner, cells: readonly SeenCell[]): void {
  if (cells.length === 0) throw new RangeError('retryAny: give the cells that the loop read');
  const list = cells.map(({ column, index, seen }) => ({ column: column.id, index, seen }));
  const { hook } = machine;
  const number = numberOf(list);
  if (hook !== null) hook.operate(Op.retryAny, number, 0, 0, 0);
  else machine.executeOrWait(Op.retryAny, number, 0, 0, 0);
}

/** Whether any cell of a list has changed since it was seen. */
export function hasAnyChanged(columns: readonly Column[], number: number): boolean {
  return (lists[number] ?? []).some(
    ({ column, index, seen }) => columns[column]?.values[index] !== seen,
  );
}

/** A cell that an operation waits for, and what it must hold, or must not. */
export interface WaitedCell {
  readonly column: Column;
  readonly index: number;
  readonly value: number;
  /** Whether the operation goes on once the cell is `value`; else once it is anything else. */
  readonly equal: boolean;
}

/**
 * The cells that an operation waits for, by its kind and operands: any one of them lets it go on. Empty for an operation
 * that does not wait for cells. Use it to say why a machine stands still.
 */
export function waitedCells(
  columns: readonly Column[],
  kind: number,
  a: number,
  b: number,
  c: number,
): readonly WaitedCell[] {
  const cell = (column: number, index: number, value: number, equal: boolean): WaitedCell => {
    return { column: columns[column] as Column, index, value, equal };
  };
  const op = kind & KIND_MASK;
  if (op === Op.lock) return [cell(a, b, 0, true)];
  if (op === Op.wait) return [cell(a, b, c, true)];
  if (op === Op.retry) return [cell(a, b, c, false)];
  if (op !== Op.retryAny) return [];
  return (lists[a] ?? []).map(({ column, index, seen }) => cell(column, index, seen, false));
}
