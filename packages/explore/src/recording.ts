// SPDX-License-Identifier: MIT
// A schedule as it runs: each step with what it did, what changed, and what the kernel says at the end.

import { type Column, KIND_MASK, Op } from '@pkslab/x86-cpu';
import type { Action } from './actions.ts';
import type { EventKind } from './budget.ts';
import type { Violation } from './checker.ts';
import type { Invariant, WatchedCell } from './invariant.ts';
import { END, type Node, PANIC } from './node.ts';
import { describeOperation, eventText, hex } from './operation-text.ts';
import { DEADLOCK } from './search.ts';
import { kernelBacktrace } from './sites.ts';
import type { System } from './system.ts';

/** A watched cell of a CPU, or of the task on it, and its value. */
export interface WatchedValue {
  readonly label: string;
  readonly value: string;
}

/** One step: an operation, or the arrival of an event. */
export interface TraceStep {
  readonly cpu: number;
  /** The task on whose stack it happens. */
  readonly task: string;
  /** What runs there: the task itself, `irq`, `nmi`, `exception`, `start`, `exit` or `idle`. */
  readonly context: string;
  /** The event that arrives; null for an operation. */
  readonly event: EventKind | null;
  readonly text: string;
  /** The kernel's function, by its C name; null for an event. */
  readonly function: string | null;
  /** Watched cells of this CPU that are not what they were at its last step. */
  readonly changes: readonly WatchedValue[];
}

/** A schedule that was run, as plain data. */
export interface Recording {
  readonly cpus: number;
  /** For each CPU, the watched cells at the start. */
  readonly start: readonly (readonly WatchedValue[])[];
  readonly steps: readonly TraceStep[];
  readonly violation: Violation | null;
  /** The kernel's functions at the last operation, innermost first, context above context. */
  readonly backtrace: readonly string[];
  /** What the kernel's log says of it: an oops, a WARN. */
  readonly dmesg: readonly string[];
}

/** Steps after a violation in which the kernel may finish its report. */
const REPORT_STEPS = 2000;

/** Runs the steps of a schedule on a system and notes what they do. */
export class Recorder {
  readonly steps: TraceStep[] = [];
  readonly #system: System;
  readonly #watched: readonly WatchedCell[];
  readonly #start: readonly (readonly WatchedValue[])[];
  /** For each CPU, what its watched cells were at its last step. */
  readonly #shown: string[][];
  /** For each cell that changed, the step that changed it last. */
  readonly #writers = new Map<Column, Map<number, number>>();
  readonly #functions = new Map<Node, string | null>();
  /** The contexts of the CPU that stepped last, each at the operation that it was about to do. */
  #contexts: readonly Node[] = [];
  #operation: Pick<TraceStep, 'context' | 'text' | 'function'> | null = null;

  constructor(system: System, invariants: readonly Invariant[]) {
    this.#system = system;
    this.#watched = watchedCells(invariants);
    const { machine, undo } = system;
    this.#shown = machine.cpus.map(({ index }) => this.#values(index));
    this.#start = this.#shown.map((values) =>
      this.#watched.map((cell, i) => ({ label: labelOf(cell), value: values[i] as string })),
    );
    machine.journal = {
      cell: (column, index, old, value) => {
        undo.cell(column, index, old, value);
        this.#noteWrite(column, index);
      },
      bytes: (chunk, offset, length) => undo.bytes(chunk, offset, length),
    };
    system.onStep = (_cpu, _task, node, value) => {
      const text = describeOperation(system.kernel, node, value);
      this.#operation = { context: contextOf(node), text, function: this.#functionAt(node) };
    };
  }

  /** Makes one step. */
  perform(action: Action): void {
    const system = this.#system;
    const { cpu, event } = action;
    const task = system.kernel.tasks.nameOf(system.taskOf(cpu));
    const arrival = { context: contextOf(system.nodeOf(cpu)), text: '', function: null };
    this.#operation = null;
    this.#contexts = system.contextsOf(cpu);
    system.perform(action);
    const what =
      event === null ? (this.#operation ?? arrival) : { ...arrival, text: eventText(action) };
    this.steps.push({ cpu, task, ...what, event, changes: this.#changes(cpu) });
    if (event === 'powerFail') this.#noteRecovery();
  }

  /** The lines that the recovery read, and what had survived of each. */
  #noteRecovery(): void {
    const recovery = { cpu: 0, task: 'recovery', context: 'recovery', function: null };
    for (const text of this.#system.crash?.reads ?? []) {
      this.steps.push({ ...recovery, event: null, text, changes: [] });
    }
  }

  /** The step that changed a cell last, by number; null where none did. */
  lastWriter(column: Column, index: number): number | null {
    return this.#writers.get(column)?.get(index) ?? null;
  }

  /** What was recorded; the kernel's report is run to its end, so this comes last. */
  finish(violation: Violation | null): Recording {
    const system = this.#system;
    const cpu = system.checker.cpu;
    // Nobody stepped into a deadlock last: its backtrace is that of who waits.
    const contexts = violation?.message === DEADLOCK ? waitingContexts(system) : this.#contexts;
    const backtrace = violation === null ? [] : backtraceOf(system, contexts);
    const steps = [...this.steps];
    const dmesg = violation === null ? [] : reportOf(system, cpu);
    const { length: cpus } = system.machine.cpus;
    return { cpus, start: this.#start, steps, violation, backtrace, dmesg };
  }

  #noteWrite(column: Column, index: number): void {
    let cells = this.#writers.get(column);
    if (cells === undefined) {
      cells = new Map();
      this.#writers.set(column, cells);
    }
    cells.set(index, this.steps.length);
  }

  #values(cpu: number): string[] {
    const view = { cpu, task: this.#system.taskOf(cpu) };
    return this.#watched.map((cell) => hex(cell.column.values[cell.index(view)] as number));
  }

  #changes(cpu: number): WatchedValue[] {
    const before = this.#shown[cpu] as string[];
    const now = this.#values(cpu);
    this.#shown[cpu] = now;
    return this.#watched.flatMap((cell, i) =>
      now[i] === before[i] ? [] : [{ label: labelOf(cell), value: now[i] as string }],
    );
  }

  #functionAt(node: Node): string | null {
    let name = this.#functions.get(node);
    if (name === undefined) {
      const { tries, kernel } = this.#system;
      name = kernelBacktrace(tries.stackAt(node), kernel.symbols)[0] ?? null;
      this.#functions.set(node, name);
    }
    return name;
  }
}

/** The cells that invariants speak of, each once. */
function watchedCells(invariants: readonly Invariant[]): WatchedCell[] {
  const cells = new Map<string, WatchedCell>();
  for (const cell of invariants.flatMap(cellsOf)) {
    const known = cells.get(cell.column.field.name);
    // The one with a name of its own wins.
    if (known?.label === undefined) cells.set(cell.column.field.name, cell);
  }
  return [...cells.values()];
}

/** The cells that one invariant speaks of. */
export function cellsOf({ cells = [], preserves = [] }: Invariant): readonly WatchedCell[] {
  return [...cells, ...preserves];
}

function labelOf({ label, column }: WatchedCell): string {
  return label ?? column.field.name;
}

/** What a node's code is: the task's name, or the kind of entry. */
export function contextOf({ routine }: Node): string {
  return routine.key.split(':')[0] as string;
}

/** The contexts of the first who stands still in a deadlock: one that holds a CPU, where there is one. */
function waitingContexts(system: System): readonly Node[] {
  const { machine, stuck } = system;
  const tasks = Array.from({ length: machine.tasks }, (_, task) => task);
  const off = tasks.find((task) => task >= machine.cpus.length && system.isAlive(task));
  if (stuck[0] !== undefined) return system.contextsOf(stuck[0]);
  return off === undefined ? [] : system.contextsOn(off);
}

/** The functions of every context on a stack, as Linux marks them. */
function backtraceOf(system: System, contexts: readonly Node[]): string[] {
  const { tries, kernel } = system;
  const names: string[] = [];
  for (const node of contexts) {
    const functions = node.kind < 0 ? [] : kernelBacktrace(tries.stackAt(node), kernel.symbols);
    const { frame } = node.routine;
    const mark = frame === 'irq' || frame === 'nmi' ? frame.toUpperCase() : null;
    names.push(...(mark === null ? functions : [`<${mark}>`, ...functions, `</${mark}>`]));
  }
  return names;
}

/** What the context at a violation prints, up to where it ends or leaves the CPU. */
function reportOf(system: System, cpu: number): readonly string[] {
  let last = system.nodeOf(cpu);
  const { routine } = last;
  const interrupted = backtraceOf(system, system.contextsOf(cpu).slice(1));
  for (let i = 0; i < REPORT_STEPS; i++) {
    const op = last.kind & KIND_MASK;
    if (last.kind === END || last.kind === PANIC || op === Op.choose || op === Op.switchStack)
      break;
    const next = system.enabled.actions().find((one) => one.cpu === cpu && one.event === null);
    if (next === undefined) break;
    system.perform(next);
    const [node] = system.contextsOf(cpu).filter((context) => context.routine === routine);
    if (node === undefined) break;
    last = node;
  }
  return withCallers(system.tries.printedAt(last), interrupted);
}

/** Call traces of a context that is run by itself end where it begins: these functions stand below it. */
function withCallers(lines: readonly string[], functions: readonly string[]): readonly string[] {
  return lines.flatMap((line, i) => {
    const head = lines.lastIndexOf('Call Trace:', i);
    const isFrames = head >= 0 && lines.slice(head, i + 1).every(isFrame);
    return isFrames && !isFrame(lines[i + 1] ?? '')
      ? [line, ...functions.map((name) => ` ${name}`)]
      : [line];
  });
}

/** A line of a call trace, or its head. */
function isFrame(line: string): boolean {
  return line === 'Call Trace:' || line.startsWith(' ');
}
