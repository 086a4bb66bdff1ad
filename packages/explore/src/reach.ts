// SPDX-License-Identifier: MIT
// How far an operation reaches: what reductions need to know of it before it is executed.

import { KIND_MASK, type Machine, Op, type WaitedCell, WIDE, waitedCells } from '@pkslab/x86-cpu';

/** What an operation touches beside the context that performs it. */
export type Reach =
  /** Registers of its own CPU. */
  | 'cpu'
  /** One cell, which the operands name. */
  | 'cell'
  /** Memory behind the page tables. */
  | 'memory'
  /** Page tables, TLBs, the scheduler, another CPU's pending events. */
  | 'machine';

const REACHES: readonly Reach[] = Object.values(Op).reduce<Reach[]>((reaches, op) => {
  reaches[op] = classify(op);
  return reaches;
}, []);

function classify(op: number): Reach {
  if (op < Op.rdmsr || op === Op.lock || op === Op.wait) return 'cell';
  if (op < Op.load8) return 'cpu';
  if (op <= Op.copyIn || op === Op.clwb || op === Op.sfence) return 'memory';
  if (op === Op.fetch || op === Op.xadd32 || op === Op.xadd64) return 'memory';
  if (op === Op.syscall) return 'cpu';
  if (op === Op.rdpkru || op === Op.wrpkru || op === Op.stac || op === Op.clac) return 'cpu';
  return 'machine';
}

/** What an operation (without the flags of its kind) touches. */
export function reachOf(op: number): Reach {
  return REACHES[op] ?? 'machine';
}

/** The cells that a retry reads again and again until one has changed; none of any other operation. */
export function retriedCells(
  { columns }: Machine,
  kind: number,
  a: number,
  b: number,
  c: number,
): readonly WaitedCell[] {
  const op = kind & KIND_MASK;
  return op === Op.retry || op === Op.retryAny ? waitedCells(columns, op, a, b, c) : NO_CELLS;
}

const NO_CELLS: readonly WaitedCell[] = [];

/** Whether an operation on a cell or on memory only reads. */
export function onlyReads(op: number): boolean {
  if (op === Op.get || op === Op.thisCpuGet || op === Op.wait || op === Op.fetch) return true;
  return op >= Op.load8 && op <= Op.load64;
}

/** An access to memory behind the page tables. */
export interface MemoryAccess {
  readonly address: number;
  /** Bytes. */
  readonly size: number;
  readonly writes: boolean;
  /** Where a copy of as many bytes reads; null for any other access. */
  readonly source: number | null;
}

/**
 * What an operation, by its kind and operands, reads or writes in memory; null where it does not. CLWB is a load
 * (SDM: it checks rights as one), and a locked addition a store.
 *
 * @example
 * memoryAccess(Op.store32, 0x1000, 0, 7); // => { address: 4096, size: 4, writes: true, source: null }
 */
export function memoryAccess(kind: number, a: number, b: number, c: number): MemoryAccess | null {
  const op = kind & KIND_MASK;
  const size = sizeOf(op, b, c);
  if (size < 0) return null;
  const address = (kind & WIDE) === 0 ? a : a * 4096 + b;
  return { address, size, writes: WRITES.has(op), source: op === Op.copy ? b : null };
}

const WRITES: ReadonlySet<number> = new Set<number>([
  Op.store8,
  Op.store16,
  Op.store32,
  Op.store64,
  Op.copy,
  Op.fill,
  Op.copyIn,
  Op.xadd32,
  Op.xadd64,
]);

/** Bytes that an operation accesses; −1 where it accesses no memory. */
function sizeOf(op: number, b: number, c: number): number {
  if (op >= Op.load8 && op <= Op.load64) return 1 << (op - Op.load8);
  if (op >= Op.store8 && op <= Op.store64) return 1 << (op - Op.store8);
  if (op >= Op.copy && op <= Op.copyIn) return c;
  if (op === Op.clwb) return b;
  if (op === Op.fetch) return 1;
  if (op === Op.xadd32) return 4;
  return op === Op.xadd64 ? 8 : -1;
}

/** Whether the executing CPU is the index of the cell that an operation touches. */
export function isThisCpu(op: number): boolean {
  return op >= Op.thisCpuGet && op <= Op.thisCpuAdd;
}
