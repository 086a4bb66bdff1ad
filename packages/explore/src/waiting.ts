// SPDX-License-Identifier: MIT
// Who waits in a deadlock, for what, and who wrote that last.

import { type Column, waitedCells } from '@pkslab/x86-cpu';
import { type CellHistory, historyOf, historyText } from './cell-history.ts';
import { hex, operationName } from './operation-text.ts';
import { contextOf, type Recorder } from './recording.ts';
import { kernelBacktrace } from './sites.ts';
import type { System } from './system.ts';
import { whereText } from './trace.ts';

/** A cell that somebody waits for. */
export interface WantedCell extends CellHistory {
  /** What it must hold for the task to go on: `1`, or `other than 1`. */
  readonly wanted: string;
}

/** A task that has not ended and cannot go on, or a handler above one. */
export interface WaitingTask {
  readonly task: string;
  /** What runs on its stack: the task's own code, `irq`, `nmi`, … */
  readonly context: string;
  /** The CPU that it holds; null where it sleeps, or waits for a CPU. */
  readonly cpu: number | null;
  /** The operation that it stands at, or `sleep`; null where it could run, and no CPU takes it. */
  readonly at: string | null;
  /** The kernel's functions there, innermost first. */
  readonly functions: readonly string[];
  /** What it waits for: that any one of these cells holds what is wanted. */
  readonly cells: readonly WantedCell[];
}

/** Functions that every task which sleeps is in. */
const SCHEDULER: readonly string[] = ['context_switch', '__schedule', 'schedule'];

/** Everybody who stands still at the end of a schedule: first those who hold a CPU. */
export function waitingTasks(system: System, recorder: Recorder): WaitingTask[] {
  const { machine } = system;
  const held = machine.cpus.map(({ index }) => system.taskOf(index));
  const off = Array.from({ length: machine.tasks }, (_, task) => task).filter(
    (task) => task >= machine.cpus.length && !held.includes(task) && system.isAlive(task),
  );
  return [
    ...system.stuck.map((cpu) => onCpu(system, recorder, cpu)),
    ...off.map((task) => offCpu(system, recorder, task)),
  ];
}

function onCpu(system: System, recorder: Recorder, cpu: number): WaitingTask {
  const { machine } = system;
  const node = system.nodeOf(cpu);
  const cells = waitedCells(machine.columns, node.kind, node.a, node.b, node.c).map(
    ({ column, index, value, equal }) => {
      const wanted = equal ? hex(value) : `other than ${hex(value)}`;
      return { ...historyOf(recorder, column, index), wanted };
    },
  );
  return { ...whoIs(system, system.taskOf(cpu)), cpu, at: operationName(machine, node), cells };
}

function offCpu(system: System, recorder: Recorder, task: number): WaitingTask {
  const { tasks } = system.kernel;
  const who = { ...whoIs(system, task), cpu: null };
  if (tasks.isReady(task)) return { ...who, at: null, cells: [] };
  const { waitColumn, waitIndex, waitValue } = tasks;
  const column = system.machine.columns[waitColumn.values[task] as number] as Column;
  const history = historyOf(recorder, column, waitIndex.values[task] as number);
  const wanted = hex(waitValue.values[task] as number);
  return { ...who, at: 'sleep', cells: [{ ...history, wanted }] };
}

function whoIs(system: System, task: number): Pick<WaitingTask, 'task' | 'context' | 'functions'> {
  const { kernel, tries } = system;
  const name = kernel.tasks.nameOf(task);
  const [node] = system.contextsOn(task);
  if (node === undefined) return { task: name, context: name, functions: [] };
  const functions = kernelBacktrace(tries.stackAt(node), kernel.symbols);
  return { task: name, context: contextOf(node), functions };
}

/** A line for each who waits, and below it one for each cell that it waits for. */
export function waitingText(waiting: readonly WaitingTask[]): string[] {
  return waiting.flatMap((one) => [
    standsText(one),
    ...one.cells.map((cell) => `  ${historyText(cell)}`),
  ]);
}

function standsText({ task, context, cpu, at, functions, cells }: WaitingTask): string {
  const who = whereText({ task, context });
  if (at === null) return `${who} could run, and no CPU takes it.`;
  const first = functions.find((name) => !SCHEDULER.includes(name));
  const where = first === undefined ? '' : ` in ${first}`;
  const stands = cpu === null ? `sleeps${where}` : `on CPU ${cpu} stands at ${at}${where}`;
  const wants = cells.map(({ cell, wanted }) => `${cell} is ${wanted}`).join(' or ');
  return `${who} ${stands}: it goes on once ${wants}.`;
}
