// SPDX-License-Identifier: MIT
// Operations and events in words, for traces.

import type { Kernel } from '@pkslab/kernel';
import {
  type Column,
  FAULTED,
  formatAddress,
  KIND_MASK,
  type Machine,
  Op,
  operationKindName,
  opNames,
  VECTOR_GP,
  VECTOR_PF,
  VECTOR_SS,
  waitedCells,
} from '@pkslab/x86-cpu';
import type { Action } from './actions.ts';
import type { Node } from './node.ts';
import { memoryAccess, reachOf } from './reach.ts';

/** Operations on a cell that wait for it. */
const WAITING: ReadonlySet<number> = new Set([Op.lock, Op.wait, Op.retry]);

const FAULTS: Readonly<Record<number, string>> = {
  [VECTOR_SS]: '#SS',
  [VECTOR_GP]: '#GP',
  [VECTOR_PF]: '#PF',
};

/** An event in words: `irq, vector 0x20`. */
export function eventText(action: Action): string {
  if (action.event === 'irq') return `irq, vector 0x${action.choice.toString(16)}`;
  if (action.event === 'preempt') return 'preempt: reschedule interrupt';
  if (action.event === 'migrate') return `migrate: the task moves to CPU ${action.choice}`;
  if (action.event === 'ipi') return `IPI arrives, vector 0x${action.choice.toString(16)}`;
  if (action.event === 'machineCheck') return 'machine check';
  if (action.event === 'powerFail') return 'the power fails';
  return action.event === 'nmi' ? 'nmi' : 'page fault on user memory';
}

/** One operation with its operands and result, in the field's own names. */
export function describeOperation(kernel: Kernel, node: Node, value: number): string {
  const { machine } = kernel;
  const op = node.kind & KIND_MASK;
  const name = operationKindName(node.kind, node.c);
  if (isCellOperation(op)) return cellText(machine, node, op, value);
  if (op === Op.retryAny) {
    const cells = waitedCells(machine.columns, op, node.a, 0, 0).map(
      ({ column, index, value: seen }) => `${cellName(column, index)}, ${hex(seen)}`,
    );
    return `${name} ${cells.join(' or ')}`;
  }
  if (value === FAULTED && reachOf(op) === 'cpu') return `${name}: ${faultText(machine)}`;
  if (op === Op.wrmsr) return `wrmsr 0x${node.a.toString(16)} := ${hex(node.c)}`;
  if (op === Op.rdmsr) return `rdmsr 0x${node.a.toString(16)} -> ${hex(value)}`;
  const access = memoryAccess(node.kind, node.a, node.b, node.c);
  if (access !== null) {
    const what = value === FAULTED ? faultText(machine) : 'done';
    return `${name} ${formatAddress(access.address)}: ${what}`;
  }
  if (op === Op.switchStack || op === Op.choose) {
    const task = op === Op.choose ? value : node.a;
    return `${op === Op.choose ? 'pick next' : 'switch to'} ${kernel.tasks.nameOf(task)}`;
  }
  return name;
}

/** The exception that the last operation raised. */
function faultText({ fault: { vector, errorCode } }: Machine): string {
  const name = FAULTS[vector] ?? `exception ${vector}`;
  return `${name} 0x${errorCode.toString(16)}`;
}

/** What an operation does, without its values: the same wherever it stands. */
export function operationName(
  machine: Machine,
  { kind, a, c }: Pick<Node, 'kind' | 'a' | 'c'>,
): string {
  const op = kind & KIND_MASK;
  const name = operationKindName(kind, c);
  if (isCellOperation(op)) return `${name} ${(machine.columns[a] as Column).field.name}`;
  if (op === Op.retryAny) {
    const cells = waitedCells(machine.columns, kind, a, 0, 0);
    return `${name} ${cells.map(({ column }) => column.field.name).join(', ')}`;
  }
  return op === Op.wrmsr || op === Op.rdmsr ? `${name} 0x${a.toString(16)}` : name;
}

/** A cell as traces name it. */
export function cellName({ field }: Column, index: number | string): string {
  return field.per === 'global' ? field.name : `${field.name}[${index}]`;
}

/** A value as traces write it. */
export function hex(value: number): string {
  if (Math.abs(value) < 10) return String(value);
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

function isCellOperation(op: number): boolean {
  return (op >= Op.get && op < Op.rdmsr) || WAITING.has(op);
}

function cellText(machine: Machine, node: Node, op: number, value: number): string {
  const column = machine.columns[node.a] as Column;
  const thisCpu = op === Op.thisCpuGet || op === Op.thisCpuSet || op === Op.thisCpuAdd;
  const cell = cellName(column, thisCpu ? 'cpu' : node.b);
  if (op === Op.set || op === Op.thisCpuSet) return `${cell} := ${hex(node.c)}`;
  if (op === Op.get || op === Op.thisCpuGet) return `${cell} -> ${hex(value)}`;
  if (op === Op.add || op === Op.thisCpuAdd) return `${cell} += ${hex(node.c)} -> ${hex(value)}`;
  if (WAITING.has(op)) return `${opNames[op]} ${cell}, ${hex(node.c)}`;
  return `${opNames[op]} ${cell} -> ${hex(value)}`;
}
