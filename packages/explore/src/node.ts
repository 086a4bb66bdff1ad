// SPDX-License-Identifier: MIT
// What is known of a routine: a trie of the points between its operations.

import { Mark, type TaskCode } from '@pkslab/kernel';
import { KIND_MASK, Op } from '@pkslab/x86-cpu';
import type { FrameKind } from './invariant.ts';

/** A task that the code before a node created. */
interface Created {
  readonly task: number;
  readonly code: TaskCode;
}

/** What the kernel's code asks the machine for. */
export interface Operation {
  kind: number;
  a: number;
  b: number;
  c: number;
  d: number;
}

/** A point between two operations of a routine: `kind` is the next operation, or `END` or `PANIC`. */
export interface Node extends Operation {
  readonly id: number;
  readonly routine: Routine;
  readonly parent: Node | null;
  /** Operations before it. */
  readonly depth: number;
  /** Result of the parent's operation that led here, and its high half. */
  readonly result: number;
  readonly high: number;
  /** What the parent's `copyOut` brought. */
  readonly brought: Uint8Array | null;
  /** Marked windows that are open here, a bit each; grants are counted in `grants`. */
  readonly windows: number;
  readonly grants: number;
  /** For `END`: what the routine returned. For `PANIC`: nothing. */
  returned: number;
  panic: string;
  /** Where the operation stands in the kernel's code, once `Tries.siteOf` was asked; −1 before. */
  site: number;
  known: boolean;
  /** For a `copyIn`: the bytes that this history of the routine copies. */
  bytes: Uint8Array | null;
  /** The task that came to be on the way here. */
  created: Created | null;
  firstChild: Node | null;
  children: Map<number, Node[]> | null;
}

/** Node kinds beside operations. */
export const END = -1;
export const PANIC = -2;

/** A deterministic function from the results of its operations to its next operation. */
export interface Routine {
  readonly key: string;
  /** What its context is, where it runs above another one. */
  readonly frame: FrameKind;
  readonly run: () => number;
  root: Node | null;
}

/** Whether a node's operation is this one. */
export function isOperation(node: Node, operation: Operation): boolean {
  const { kind, a, b, c, d } = operation;
  const op = kind & KIND_MASK;
  // A host buffer has another handle in each run.
  const sameB = node.b === b || op === Op.copyIn || op === Op.copyOut;
  return node.kind === kind && node.a === a && sameB && node.c === c && node.d === d;
}

/** How a routine got from one node to the next. */
interface Step {
  readonly node: Node | null;
  readonly result: number;
  readonly high: number;
  readonly brought: Uint8Array | null;
}

const START: Step = { node: null, result: 0, high: 0, brought: null };

function windowsAfter({ kind, a, b, windows }: Node): number {
  if (kind !== Op.mark || a === Mark.grant) return windows;
  return b === 1 ? windows | (1 << a) : windows & ~(1 << a);
}

function grantsAfter({ kind, a, b, grants }: Node): number {
  if (kind !== Op.mark || a !== Mark.grant) return grants;
  // A close without an open takes nothing away: the next open is a grant like any other.
  return b === 1 ? grants + 1 : Math.max(0, grants - 1);
}

/** A node whose operation is not known yet; marks of the step to it open or close windows. */
export function newNode(id: number, routine: Routine, step: Step = START): Node {
  const { node: parent, result, high, brought } = step;
  return {
    id,
    routine,
    parent,
    depth: parent === null ? 0 : parent.depth + 1,
    result,
    high,
    brought,
    windows: parent === null ? 0 : windowsAfter(parent),
    grants: parent === null ? 0 : grantsAfter(parent),
    kind: END,
    a: 0,
    b: 0,
    c: 0,
    d: 0,
    returned: 0,
    panic: '',
    site: -1,
    known: false,
    bytes: null,
    created: null,
    firstChild: null,
    children: null,
  };
}

/** Whether a node is the one that a result leads to. */
export function isResult(
  node: Node,
  result: number,
  high: number,
  brought: Uint8Array | null,
): boolean {
  if (node.result !== result || node.high !== high) return false;
  if (brought === null || node.brought === null) return brought === node.brought;
  return sameBytes(node.brought, brought);
}

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}
