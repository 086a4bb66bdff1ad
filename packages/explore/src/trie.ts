// SPDX-License-Identifier: MIT
// Memoised replay: a routine of the kernel is run from its start, fed with recorded results, up to its first
// new operation; what was learnt is a trie, and a suspended context is one node of it.

import { KernelPanic, Mark, type PrintkRing } from '@pkslab/kernel';
import { KIND_MASK, type Machine, Op, type OperationHook } from '@pkslab/x86-cpu';

/** A point between two operations of a routine. */
export interface Node {
  readonly id: number;
  readonly routine: Routine;
  readonly parent: Node | null;
  /** Result of the parent's operation that led here, and its high half. */
  readonly result: number;
  readonly high: number;
  /** Marked windows that are open here, a bit each; grants are counted in `grants`. */
  readonly windows: number;
  readonly grants: number;
  /** The next operation, or `END` or `PANIC`. */
  kind: number;
  a: number;
  b: number;
  c: number;
  d: number;
  /** For `END`: what the routine returned. For `PANIC`: nothing. */
  returned: number;
  panic: string;
  /** Where the operation stands in the kernel's code. */
  site: number;
  known: boolean;
  firstChild: Node | null;
  readonly children: Map<number, Node[]>;
}

/** Node kinds beside operations. */
export const END = -1;
export const PANIC = -2;

/** A deterministic function from the results of its operations to its next operation. */
export interface Routine {
  readonly key: string;
  readonly run: () => number;
  root: Node | null;
}

/** Thrown through a routine's frames at its first new operation. */
class Found {
  readonly dummy = true;
}

const FOUND = new Found();

/** Results that do not depend on the machine: discovery goes on past these operations in one run. */
function isConstant(kind: number): boolean {
  return (
    kind === Op.set ||
    kind === Op.thisCpuSet ||
    kind === Op.mark ||
    kind === Op.cli ||
    kind === Op.sti
  );
}

/** All routines of a scenario, and how their nodes are found. */
export class Tries implements OperationHook {
  readonly nodes: Node[] = [];
  /** Names of operation sites, by number. */
  readonly sites: string[] = [];
  /** Runs of kernel code so far. */
  runs = 0;
  readonly #machine: Machine;
  readonly #printk: PrintkRing;
  readonly #routines = new Map<string, Routine>();
  readonly #siteNumbers = new Map<string, number>();
  #path: Node[] = [];
  #at = 0;
  #stack: string | null = null;
  #wantStack = false;

  constructor(machine: Machine, printk: PrintkRing) {
    this.#machine = machine;
    this.#printk = printk;
  }

  routine(key: string, run: () => number): Routine {
    let routine = this.#routines.get(key);
    if (routine === undefined) {
      routine = { key, run, root: null };
      this.#routines.set(key, routine);
    }
    return routine;
  }

  /** The start of a routine, its first operation known. */
  root(routine: Routine): Node {
    if (routine.root === null) {
      routine.root = this.#newNode(routine, null, 0, 0, 0, 0);
    }
    if (!routine.root.known) this.#discover(routine.root);
    return routine.root;
  }

  /** The node after `node`'s operation gave `result`. */
  next(node: Node, result: number, high: number): Node {
    const first = node.firstChild;
    if (first !== null && first.result === result && first.high === high) {
      if (!first.known) this.#discover(first);
      return first;
    }
    const child = this.#childFor(node, result, high);
    if (!child.known) this.#discover(child);
    return child;
  }

  /** The host's stack at a node's operation: the kernel backtrace, taken by running the path again. */
  stackAt(node: Node): string {
    this.#wantStack = true;
    this.#stack = null;
    this.#run(node);
    this.#wantStack = false;
    return this.#stack ?? '';
  }

  #childFor(node: Node, result: number, high: number): Node {
    const first = node.firstChild;
    if (first !== null && first.result === result && first.high === high) return first;
    const same = node.children.get(result);
    const found = same?.find((child) => child.high === high);
    if (found !== undefined) return found;
    let { windows, grants } = node;
    if (node.kind === Op.mark) {
      const bit = 1 << node.a;
      if (node.a === Mark.grant) grants += node.b === 1 ? 1 : -1;
      else windows = node.b === 1 ? windows | bit : windows & ~bit;
    }
    const child = this.#newNode(node.routine, node, result, high, windows, grants);
    if (first === null) node.firstChild = child;
    else if (same === undefined) node.children.set(result, [child]);
    else same.push(child);
    return child;
  }

  #newNode(
    routine: Routine,
    parent: Node | null,
    result: number,
    high: number,
    windows: number,
    grants: number,
  ): Node {
    const node: Node = {
      id: this.nodes.length,
      routine,
      parent,
      result,
      high,
      windows,
      grants,
      kind: END,
      a: 0,
      b: 0,
      c: 0,
      d: 0,
      returned: 0,
      panic: '',
      site: -1,
      known: false,
      firstChild: null,
      children: new Map(),
    };
    this.nodes.push(node);
    return node;
  }

  // ---- discovery ----

  #discover(node: Node): void {
    this.#run(node);
  }

  /** Runs the routine of a node from its start, up to the first operation that is not in the path to it. */
  #run(node: Node): void {
    const path: Node[] = [];
    for (let at: Node | null = node; at !== null; at = at.parent) path.push(at);
    this.#path = path.reverse();
    this.#at = 0;
    this.runs++;
    const { hook } = this.#machine;
    const { muted } = this.#printk;
    this.#machine.hook = this;
    this.#printk.muted = true;
    try {
      const returned = node.routine.run();
      this.#finish(END, returned, '');
    } catch (thrown: unknown) {
      if (thrown instanceof KernelPanic) this.#finish(PANIC, 0, thrown.message);
      else if (thrown !== FOUND) throw thrown;
    } finally {
      this.#machine.hook = hook;
      this.#printk.muted = muted;
    }
  }

  #finish(kind: number, returned: number, panic: string): void {
    const last = this.#path[this.#at] as Node;
    if (this.#at < this.#path.length - 1) throw this.#notDeterministic('the routine ended');
    last.kind = kind;
    last.returned = returned;
    last.panic = panic;
    last.known = true;
  }

  operate(kind: number, a: number, b: number, c: number, d: number): number {
    const node = this.#path[this.#at] as Node;
    if (node.known) {
      if (node.kind !== kind || node.a !== a || node.b !== b || node.c !== c || node.d !== d) {
        throw this.#notDeterministic(
          `recorded ${node.kind}(${node.a},${node.b},${node.c}), now ${kind}(${a},${b},${c})`,
        );
      }
    } else {
      node.kind = kind;
      node.a = a;
      node.b = b;
      node.c = c;
      node.d = d;
      node.known = true;
      node.site = this.#siteOf(new Error('site').stack ?? '', node.routine.key);
    }
    if (this.#at === this.#path.length - 1) {
      if (this.#wantStack) {
        this.#stack = new Error('stack').stack ?? '';
        throw FOUND;
      }
      if (!isConstant(kind & KIND_MASK) || kind !== (kind & KIND_MASK)) throw FOUND;
      this.#path.push(this.#childFor(node, 0, 0));
    }
    this.#at++;
    const next = this.#path[this.#at] as Node;
    this.#machine.resultHigh = next.high;
    return next.result;
  }

  #notDeterministic(what: string): Error {
    const key = this.#path[0]?.routine.key ?? '';
    return new Error(`not deterministic at operation ${this.#at} of ${key}: ${what}`);
  }

  /** A site: the kind of routine and the kernel function that performs the operation. */
  #siteOf(stack: string, key: string): number {
    const name = `${key.split(':')[0]} ${kernelFunctions(stack)[0] ?? '?'}`;
    let number = this.#siteNumbers.get(name);
    if (number === undefined) {
      number = this.sites.push(name) - 1;
      this.#siteNumbers.set(name, number);
    }
    return number;
  }
}

const MACHINERY =
  /^(Tries|Column|PerCpu|Machine|Runner|Explorer|Discovery)\.|^(new|Object|Array)\b/;

/** The simulated kernel's functions in a host stack, innermost first, with line and column. */
export function kernelFunctions(stack: string): string[] {
  const names: string[] = [];
  for (const line of stack.split('\n').slice(1)) {
    const match = /at (?:get |set )?([\w$.#<>]+)(?: \[as [^\]]+\])? \(.*?(\d+):(\d+)\)/.exec(line);
    if (match?.[1] === undefined || MACHINERY.test(match[1])) continue;
    names.push(`${match[1].replace('#', '')}:${match[2]}`);
  }
  return names;
}
