// SPDX-License-Identifier: MIT
// A recording in the Trace Event Format, which Perfetto and chrome://tracing open.

import type { Recording, TraceStep } from './recording.ts';
import { whereText } from './trace.ts';

/** One event of the format; times are microseconds, here the number of the step. */
export interface TraceEvent {
  readonly name: string;
  /** `X` a slice, `i` an instant, `C` a counter, `M` a name of a process or thread. */
  readonly ph: 'X' | 'i' | 'C' | 'M';
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  /** Scope of an instant: its thread. */
  readonly s?: 't';
  readonly args?: Readonly<Record<string, string | number>>;
}

/** A document in the Trace Event Format (its JSON Object Format). */
export interface ChromeTrace {
  readonly traceEvents: readonly TraceEvent[];
  readonly displayTimeUnit: 'ms';
  readonly otherData: Readonly<Record<string, string>>;
}

const PROCESS = 1;

/** Time of one step, in microseconds. */
const STEP = 1;

/**
 * A recording as a document of the Trace Event Format: a track for each CPU, slices for contexts (an interrupt's
 * lies inside that of the task), instants for operations and events, counters for watched cells.
 */
export function chromeTrace(recording: Recording): ChromeTrace {
  const { steps, cpus, violation, start } = recording;
  const events: TraceEvent[] = [meta('process_name', 0, 'pkslab')];
  for (let cpu = 0; cpu < cpus; cpu++) {
    events.push(meta('thread_name', cpu, `CPU ${cpu}`), ...slices(steps, cpu));
    for (const { label, value } of start[cpu] ?? []) events.push(counter(label, cpu, 0, value));
  }
  for (const [at, step] of steps.entries()) events.push(...instants(step, at * STEP));
  const last = steps.at(-1);
  if (violation !== null && last !== undefined) {
    const args = { message: violation.message };
    const name = `violated: ${violation.invariant}`;
    events.push(instant(name, 'violation', last.cpu, steps.length * STEP, args));
  }
  const otherData = violation === null ? {} : { ...violation };
  return { traceEvents: events, displayTimeUnit: 'ms', otherData };
}

/** A context that is on a CPU, from its first step there on. */
interface Open {
  readonly name: string;
  readonly since: number;
}

/** The contexts of a CPU as slices: entries lie inside what they interrupted. */
function slices(steps: readonly TraceStep[], cpu: number): TraceEvent[] {
  const events: TraceEvent[] = [];
  const open: Open[] = [];
  const close = (until: number): void => {
    const { name, since } = open.pop() as Open;
    const dur = until - since;
    events.push({ name, cat: 'context', ph: 'X', pid: PROCESS, tid: cpu, ts: since, dur });
  };
  let end = 0;
  for (const [at, step] of steps.entries()) {
    if (step.cpu !== cpu || step.event !== null) continue;
    const name = whereText(step);
    // The end of an entry goes back to a context that is open; another task's closes them all.
    const known = open.findIndex((context) => context.name === name);
    const stays = open.length > 0 && known < 0 && isEntryOn(step, open[0] as Open);
    const keep = known >= 0 ? known + 1 : stays ? open.length : 0;
    while (open.length > keep) close(at * STEP);
    if (known < 0) open.push({ name, since: at * STEP });
    end = (at + 1) * STEP;
  }
  while (open.length > 0) close(end);
  return events;
}

/** Whether a step runs above the task whose contexts are open. */
function isEntryOn(step: TraceStep, { name }: Open): boolean {
  return step.context !== step.task && name.split(' ')[0] === step.task;
}

function instants(step: TraceStep, ts: number): TraceEvent[] {
  const { cpu, event, text, function: where } = step;
  const category = event === null ? 'operation' : 'event';
  const args = where === null ? {} : { function: where };
  const changes = step.changes.map(({ label, value }) => counter(label, cpu, ts, value));
  return [instant(text, category, cpu, ts, args), ...changes];
}

function instant(
  name: string,
  cat: string,
  tid: number,
  ts: number,
  args: Readonly<Record<string, string>>,
): TraceEvent {
  return { name, cat, ph: 'i', s: 't', pid: PROCESS, tid, ts, args };
}

function counter(label: string, tid: number, ts: number, value: string): TraceEvent {
  const name = `CPU ${tid} ${label}`;
  return { name, ph: 'C', pid: PROCESS, tid, ts, args: { [label]: Number(value) } };
}

function meta(name: string, tid: number, value: string): TraceEvent {
  return { name, ph: 'M', pid: PROCESS, tid, args: { name: value } };
}
