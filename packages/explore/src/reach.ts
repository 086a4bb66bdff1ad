// SPDX-License-Identifier: MIT
// How far an operation reaches: what reductions need to know of it before it is executed.

import { Op } from '@pkslab/x86-cpu';

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

/** Whether an operation on a cell or on memory only reads. */
export function onlyReads(op: number): boolean {
  if (op === Op.get || op === Op.thisCpuGet || op === Op.wait || op === Op.fetch) return true;
  return op >= Op.load8 && op <= Op.load64;
}

/** Whether the executing CPU is the index of the cell that an operation touches. */
export function isThisCpu(op: number): boolean {
  return op >= Op.thisCpuGet && op <= Op.thisCpuAdd;
}
