// SPDX-License-Identifier: MIT
// Memoised replay: a routine of the kernel is run from its start, fed with recorded results, up to its first
// new operation; what was learnt is a trie, and a suspended context is one node of it.

import {
  hostFrames,
  type Kernel,
  KernelPanic,
  type PrintkRing,
  type SymbolNames,
} from '@pkslab/kernel';
import { KIND_MASK, type Machine, Op, type OperationHook } from '@pkslab/x86-cpu';
import { EndlessCall, OPERATIONS_MAX } from './explore-error.ts';
import type { FrameKind } from './invariant.ts';
import { END, isOperation, isResult, type Node, newNode, PANIC, type Routine } from './node.ts';
import { operationName } from './operation-text.ts';
import { Random } from './random.ts';
import { kernelBacktrace, Sites } from './sites.ts';

/** Thrown through a routine's frames at its first new operation. */
class Found {
  readonly dummy = true;
}

const FOUND = new Found();

/** Frames among which the kernel's innermost function is: those above it are the machine's. */
const SITE_FRAMES = 16;

/** Operations in a loop that is looked for in a call without an end. */
const LOOP_MAX = 64;

/** Of the order in which paths are run again. */
const VERIFY_SEED = 1;

/** Operations that never wait and whose result is 0: discovery goes on past them in one run. */
const WITHOUT_RESULT: ReadonlySet<number> = new Set([
  Op.set,
  Op.thisCpuSet,
  Op.mark,
  Op.cli,
  Op.sti,
  Op.popfIf,
  Op.sfence,
  Op.sendIpi,
  Op.writeEntry,
  Op.fillEntries,
  Op.invlpg,
  Op.flushTlb,
]);

/** All routines of a scenario, and how their nodes are found. */
export class Tries implements OperationHook {
  readonly nodes: Node[] = [];
  readonly sites: Sites;
  /** Runs of kernel code so far. */
  runs = 0;
  readonly #machine: Machine;
  readonly #printk: PrintkRing;
  readonly #symbols: SymbolNames;
  #path: Node[] = [];
  #at = 0;
  #stack: readonly string[] = [];
  #wantStack = false;
  #wantSites = false;
  #wantPrint = false;

  constructor(kernel: Kernel) {
    this.#machine = kernel.machine;
    this.#printk = kernel.printk;
    this.#symbols = kernel.symbols;
    this.sites = new Sites(kernel.machine, kernel.symbols);
    // The code of a task is no cell. It belongs to the history that created the task, not to the slot.
    kernel.tasks.onCreate = (task, code) => {
      const node = this.#path[this.#at];
      if (node !== undefined) node.created ??= { task, code };
    };
  }

  /** A new routine; whoever asks for it keeps it. The key is for people: it identifies nothing. */
  routine(key: string, frame: FrameKind, run: () => number): Routine {
    return { key, frame, run, root: null };
  }

  /** The start of a routine, its first operation known. */
  root(routine: Routine): Node {
    if (routine.root === null) {
      routine.root = newNode(this.nodes.length, routine);
      this.nodes.push(routine.root);
    }
    if (!routine.root.known) this.#run(routine.root);
    return routine.root;
  }

  /** The node after `node`'s operation gave `result`; a `copyOut` gave bytes too. */
  next(node: Node, result: number, high: number, brought: Uint8Array | null = null): Node {
    const child = this.#childFor(node, result, high, brought);
    if (!child.known) this.#run(child);
    return child;
  }

  /** The host's stack at a node's operation: the kernel backtrace, taken by running the path again. */
  stackAt(node: Node): readonly string[] {
    this.#wantStack = true;
    this.#stack = [];
    this.#run(node);
    this.#wantStack = false;
    return this.#stack;
  }

  /** Where a node's operation stands in the kernel's code; found by running the path to it again. */
  siteOf(node: Node): number {
    if (node.site < 0) {
      this.#wantSites = true;
      this.#run(node);
      this.#wantSites = false;
    }
    return node.site;
  }

  /** What the code on the way to a node prints, by running the path again: the log gets it too. */
  printedAt(node: Node): readonly string[] {
    const lines: string[] = [];
    const { onLine } = this.#printk;
    this.#printk.onLine = (line) => void lines.push(line);
    this.#wantPrint = true;
    this.#run(node);
    this.#wantPrint = false;
    this.#printk.onLine = onLine;
    return lines;
  }

  /**
   * Runs every path again, in several orders, on the first CPU and on the last, and compares: code that something
   * outside the machine has changed since it was learnt is found, code that asks for its CPU past the machine, and
   * code that keeps something from one call to the next, which then comes from another path than it did.
   */
  verify(): void {
    const { cpu, cpus } = this.#machine;
    const paths = this.nodes.filter((node) => node.known && node.firstChild === null);
    const random = new Random(VERIFY_SEED);
    for (const other of new Set([cpus[0], cpus[cpus.length - 1]])) {
      if (other !== undefined) this.#machine.cpu = other;
      const shuffled = random.shuffled(paths.length).map((i) => paths[i] as Node);
      for (const order of [paths, paths.toReversed(), shuffled]) {
        for (const node of order) this.#run(node);
      }
    }
    this.#machine.cpu = cpu;
  }

  #childFor(node: Node, result: number, high: number, brought: Uint8Array | null): Node {
    const first = node.firstChild;
    if (first !== null && isResult(first, result, high, brought)) return first;
    const same = node.children?.get(result);
    const found = same?.find((child) => isResult(child, result, high, brought));
    if (found !== undefined) return found;
    if (node.depth === OPERATIONS_MAX) throw this.#endless(node);
    const child = newNode(this.nodes.length, node.routine, { node, result, high, brought });
    this.nodes.push(child);
    if (first === null) node.firstChild = child;
    else if (same !== undefined) same.push(child);
    else {
      node.children ??= new Map();
      node.children.set(result, [child]);
    }
    return child;
  }

  // ---- discovery ----

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
    this.#printk.muted = !this.#wantPrint;
    try {
      const returned = node.routine.run();
      this.#finish(END, returned, '');
    } catch (thrown: unknown) {
      if (thrown instanceof KernelPanic) this.#finish(PANIC, 0, thrown.message);
      else if (thrown !== FOUND) throw thrown;
    } finally {
      this.#path = [];
      this.#machine.hook = hook;
      this.#printk.muted = muted;
    }
  }

  #finish(kind: number, returned: number, panic: string): void {
    const last = this.#path[this.#at] as Node;
    const isKnown = this.#at < this.#path.length - 1 || last.known;
    if (isKnown && (last.kind !== kind || last.returned !== returned)) {
      throw this.#notDeterministic(last, this.#text({ ...last, kind, returned }));
    }
    last.kind = kind;
    last.returned = returned;
    last.panic = panic;
    last.known = true;
  }

  operate(kind: number, a: number, b: number, c: number, d: number): number {
    const node = this.#path[this.#at] as Node;
    const op = kind & KIND_MASK;
    if (node.known) this.#compare(node, kind, a, b, c, d);
    else this.#learn(node, kind, a, b, c, d);
    if (this.#wantSites && node.site < 0) {
      node.site = this.sites.numberOf(node, hostFrames(SITE_FRAMES));
    }
    if (this.#at === this.#path.length - 1) {
      if (this.#wantStack) {
        this.#stack = hostFrames();
        throw FOUND;
      }
      if (!WITHOUT_RESULT.has(op) || kind !== op) throw FOUND;
      this.#path.push(this.#childFor(node, 0, 0, null));
    }
    this.#at++;
    const next = this.#path[this.#at] as Node;
    if (next.brought !== null) this.#machine.buffers[b]?.set(next.brought, d);
    this.#machine.resultHigh = next.high;
    return next.result;
  }

  #learn(node: Node, kind: number, a: number, b: number, c: number, d: number): void {
    node.kind = kind;
    node.a = a;
    node.b = b;
    node.c = c;
    node.d = d;
    node.known = true;
    if ((kind & KIND_MASK) === Op.copyIn) {
      node.bytes = (this.#machine.buffers[b] as Uint8Array).slice(d, d + c);
    }
  }

  /** A routine that is run again must do what it did. */
  #compare(node: Node, kind: number, a: number, b: number, c: number, d: number): void {
    const now = { kind, a, b, c, d };
    if (!isOperation(node, now))
      throw this.#notDeterministic(node, this.#text({ ...node, ...now }));
  }

  #notDeterministic(recorded: Node, now: string): Error {
    const { key } = recorded.routine;
    return new Error(
      `not deterministic at operation ${this.#at} of ${key}: recorded ${this.#text(recorded)}, now ${now}; what outlives a call belongs in cells`,
    );
  }

  /** What the code does at a node, in words. */
  #text(node: Node): string {
    const { kind, b, c, returned } = node;
    if (kind === END) return returned === 0 ? 'the end' : `the end with ${returned}`;
    return kind === PANIC ? 'a panic' : `${operationName(this.#machine, node)} (${b}, ${c})`;
  }

  /** A call that is too long: who, where, and what it does over and over. */
  #endless(node: Node): EndlessCall {
    const [name] = kernelBacktrace(this.stackAt(node), this.#symbols);
    const loop = repeated(node).map((one) => operationName(this.#machine, one));
    const who = node.routine.key.split(':')[0];
    return new EndlessCall(
      `${who} performs more than ${OPERATIONS_MAX} operations in one call${name === undefined ? '' : `, in ${name}`}; ${loop.join(', ')} repeats: a loop that waits has to say for what (retry, wait or lock), and one that works has to be shorter`,
    );
  }
}

/** The operations that the code before a node ends with over and over; where it does not, the last one. */
function repeated(node: Node): Node[] {
  const last: Node[] = [];
  for (let at: Node | null = node; at !== null && last.length < 3 * LOOP_MAX; at = at.parent) {
    last.push(at);
  }
  const isSame = (one: Node, other: Node | undefined): boolean =>
    one.kind === other?.kind && one.a === other.a && one.b === other.b;
  for (let length = 1; length <= LOOP_MAX; length++) {
    if (last.slice(0, 2 * length).every((one, i) => isSame(one, last[i + length]))) {
      return last.slice(0, length).reverse();
    }
  }
  return [node];
}
