// SPDX-License-Identifier: MIT
// A schedule as text: a lane for each CPU, one line a step, and the kernel backtrace at the end.

import type { RevisionRequest } from '@pkslab/kernel';
import { type Column, FAULTED, formatAddress, KIND_MASK, Op, opNames } from '@pkslab/x86-cpu';
import type { Action } from './actions.ts';
import type { Budget } from './budget.ts';
import { openBudget } from './guide.ts';
import { kernelFunctions } from './host-stack.ts';
import type { Node } from './node.ts';
import type { Scenario } from './scenario.ts';
import type { SearchResult } from './search.ts';
import { System } from './system.ts';

const LANE_WIDTH = 72;

/** Replays a schedule and prints it. */
export function traceText(
  scenario: Scenario,
  request: RevisionRequest,
  budget: Budget,
  result: SearchResult,
): string {
  const system = new System(scenario.setup(request));
  openBudget(system, budget);
  const lines: string[] = [];
  let last: { node: Node; cpu: number } | null = null;
  system.onStep = (cpu, task, node, value) => {
    last = { node, cpu };
    const name = system.kernel.tasks.nameOf(task);
    const context = node.routine.key.split(':')[0] as string;
    const where = context === name ? name : `${name} ${context}`;
    lines.push(lane(cpu, `${where.padEnd(14)} ${describe(system, node, value)}`));
  };
  for (const action of result.schedule) {
    if (action.event !== null) lines.push(lane(action.cpu, `>>> ${eventText(action)}`));
    system.perform(action);
  }
  const { invariant, message } = system.checker.violation ??
    result.violation ?? { invariant: '?', message: '' };
  lines.push('', `violated: ${invariant}: ${message}`);
  if (last !== null) lines.push(...backtrace(system, (last as { node: Node }).node));
  system.release();
  return `${header(system)}\n${lines.join('\n')}\n`;
}

function header(system: System): string {
  return system.machine.cpus
    .map((cpu) => `CPU ${cpu.index}`.padEnd(LANE_WIDTH))
    .join('')
    .trimEnd();
}

function lane(cpu: number, text: string): string {
  return `${' '.repeat(cpu * LANE_WIDTH)}${text}`;
}

function eventText(action: Action): string {
  if (action.event === 'irq') return `irq, vector 0x${action.choice.toString(16)}`;
  if (action.event === 'preempt') return 'preempt: reschedule interrupt';
  if (action.event === 'migrate') return `migrate: the task moves to CPU ${action.choice}`;
  if (action.event === 'ipi') return `IPI arrives, vector 0x${action.choice.toString(16)}`;
  if (action.event === 'machineCheck') return 'machine check';
  return action.event === 'nmi' ? 'nmi' : 'page fault on user memory';
}

function backtrace(system: System, node: Node): string[] {
  const functions = kernelFunctions(system.tries.stackAt(node));
  return ['kernel backtrace:', ...functions.map((name) => `  ${name.replace(/:\d+$/, '')}`)];
}

/** One operation with its operands and result, in the field's own names. */
function describe(system: System, node: Node, value: number): string {
  const op = node.kind & KIND_MASK;
  const name = opNames[op] ?? `operation ${op}`;
  if (op >= Op.get && op < Op.rdmsr) return describeCell(system, node, op, value);
  if (op === Op.wrmsr) return `wrmsr 0x${node.a.toString(16)} := ${hex(node.c)}`;
  if (op === Op.rdmsr) return `rdmsr 0x${node.a.toString(16)} -> ${hex(value)}`;
  if (op >= Op.load8 && op <= Op.copyIn) {
    const what =
      value === FAULTED ? `#PF 0x${system.machine.fault.errorCode.toString(16)}` : 'done';
    return `${name} ${formatAddress(node.a)}: ${what}`;
  }
  if (op === Op.switchStack || op === Op.choose) {
    const task = op === Op.choose ? value : node.a;
    return `${op === Op.choose ? 'pick next' : 'switch to'} ${system.kernel.tasks.nameOf(task)}`;
  }
  return name;
}

function describeCell(system: System, node: Node, op: number, value: number): string {
  const column = system.machine.columns[node.a] as Column;
  const thisCpu = op === Op.thisCpuGet || op === Op.thisCpuSet || op === Op.thisCpuAdd;
  const cell = `${column.field.name}${column.field.per === 'global' ? '' : `[${thisCpu ? 'cpu' : node.b}]`}`;
  if (op === Op.set || op === Op.thisCpuSet) return `${cell} := ${hex(node.c)}`;
  if (op === Op.get || op === Op.thisCpuGet) return `${cell} -> ${hex(value)}`;
  if (op === Op.add || op === Op.thisCpuAdd) return `${cell} += ${hex(node.c)} -> ${hex(value)}`;
  return `${opNames[op]} ${cell} -> ${hex(value)}`;
}

function hex(value: number): string {
  if (Math.abs(value) < 10) return String(value);
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}
