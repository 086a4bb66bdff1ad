// SPDX-License-Identifier: MIT
// A schedule as text: a lane for each CPU, one line a step, and the kernel backtrace at the end.

import type { Recording, TraceStep, WatchedValue } from './recording.ts';

const LANE_WIDTH = 72;

/** Where the changes stand in a lane. */
const CHANGES_AT = 56;

/** A recording in lanes: operations with what they changed, events, the violation, backtrace and log. */
export function traceText(recording: Recording): string {
  const lines = [headerText(recording), ...recording.steps.map(stepText)];
  return `${[...lines, ...endingText(recording)].join('\n')}\n`;
}

/** The lanes' heads, and below them the watched cells at the start. */
export function headerText({ cpus, start }: Recording): string {
  const heads = Array.from({ length: cpus }, (_, cpu) => `CPU ${cpu}`.padEnd(LANE_WIDTH));
  const values = start.flatMap((watched, cpu) =>
    watched.length === 0 ? [] : [lane(cpu, changesText(watched))],
  );
  return [heads.join('').trimEnd(), ...values].join('\n');
}

/** One step, in the lane of its CPU. */
export function stepText(step: TraceStep): string {
  const { cpu, event, text, changes } = step;
  const line = event === null ? `${whereText(step).padEnd(14)} ${text}` : `>>> ${text}`;
  return lane(
    cpu,
    changes.length === 0 ? line : `${line.padEnd(CHANGES_AT)} ${changesText(changes)}`,
  );
}

/** What was broken, with the backtrace and what the kernel's log says. */
export function endingText({ violation, backtrace, dmesg }: Recording): string[] {
  if (violation === null) return [];
  const lines = ['', `violated: ${violation.invariant}: ${violation.message}`];
  if (backtrace.length > 0) lines.push('kernel backtrace:', ...indented(backtrace));
  if (dmesg.length > 0) lines.push('dmesg:', ...indented(dmesg));
  return lines;
}

/** The task, and what runs on its stack where that is not its own code. */
export function whereText({ task, context }: Pick<TraceStep, 'task' | 'context'>): string {
  return context === task ? task : `${task} ${context}`;
}

function changesText(changes: readonly WatchedValue[]): string {
  return `| ${changes.map(({ label, value }) => `${label} ${value}`).join(', ')}`;
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

function lane(cpu: number, text: string): string {
  return `${' '.repeat(cpu * LANE_WIDTH)}${text}`;
}
