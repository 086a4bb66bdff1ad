// SPDX-License-Identifier: MIT
// What pkslab explore prints of a search: text, and the JSON document.

import type { Exploration } from '@pkslab/explore';
import { requestText } from '../request.ts';

/** The report of one search. */
export function reportText(result: Exploration): string {
  const { scenario, verdict } = result;
  const searched = `${count(result.executions, 'schedule')}, ${count(result.states, 'state')}`;
  const counts = `${searched}, ${result.seconds.toFixed(2)} s`;
  const lines = [`${scenario} on ${requestText(result)}: ${verdict} (${counts})`];
  lines.push(`  search: ${searchText(result)}`);
  lines.push(...(verdict === 'violated' ? violatedText(result) : coverageText(result)));
  return `${lines.join('\n')}\n`;
}

/** How it was searched, and how sure that is. */
function searchText(result: Exploration): string {
  const { strategy, engine, deliver, reduced, exact, guidedSteps, collisionOdds } = result;
  const parts: string[] = [strategy, ...drawsText(result)];
  if (strategy === 'guided') parts.push(`${count(guidedSteps, 'step')} of the trace first`);
  if (engine === 'live') parts.push('on both engines');
  parts.push(
    deliver === 'conflict' ? 'events where they conflict' : 'events before every operation',
  );
  if (reduced) parts.push('reduced by ample sets');
  if (exact) parts.push('whole states');
  else if (collisionOdds > 0)
    parts.push(`64-bit hashes (${oddsText(collisionOdds)} that two are the same)`);
  return parts.join(', ');
}

/** What `random` and `pct` draw their schedules from. */
function drawsText({ seed, schedules, depth }: Exploration): string[] {
  if (seed === null || schedules === null) return [];
  const draws = [`seed ${seed}`, `at most ${count(schedules, 'schedule')}`];
  return depth === null ? draws : [...draws, `depth ${depth}`];
}

/** `1 in 4 million` */
function oddsText(odds: number): string {
  const one = 1 / odds;
  const [unit, name] = UNITS.find(([size]) => one >= size) ?? [1, ''];
  return `1 in ${Math.round(one / unit)}${name}`;
}

const UNITS: readonly (readonly [number, string])[] = [
  [1e12, ' trillion'],
  [1e9, ' billion'],
  [1e6, ' million'],
];

function violatedText(result: Exploration): string[] {
  const size = `${count(result.events, 'event')}, ${count(result.operations, 'operation')}`;
  return [
    `  ${result.invariant}: ${result.message}`,
    `  ${size}; attributed to ${attributedText(result)}${minimalText(result)}`,
    '',
    result.trace,
  ];
}

/** What ends it, as far as is known: what the explanation says at its end, in short. */
function attributedText({ explanation }: Exploration): string {
  const attribution = explanation?.attribution ?? null;
  if (attribution === null) return 'no single repair';
  const { changes, complete } = attribution;
  const together = changes.length > 1 ? ' together' : '';
  return `${changes.join(' and ')}${together}${complete ? '' : ', behind which is another defect'}`;
}

function minimalText({ minimal }: Exploration): string {
  if (minimal?.events !== true) return '; others may have fewer';
  return minimal.operations ? '; none has fewer' : '; none has fewer events';
}

function coverageText(result: Exploration): string[] {
  const { sitesReached, undelivered, verdict } = result;
  return [
    `  space: ${boundText(result)}${verdict === 'holds' ? ', finished' : ', not finished'}`,
    `  ${sitesReached} operation sites reached, ${undelivered.length} (site, event) pairs undelivered`,
    ...undelivered.map(({ site, event }) => `    ${event} at ${site}`),
    ...suspendedText(result),
  ];
}

/** `1 event`, `2 events` */
export function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function boundText({ bound, switches }: Exploration): string {
  const { cpus, maxStates: _, perCpu = {}, ...kinds } = bound;
  const events = Object.entries(kinds).map(([kind, most]) => `${kind} ${most}`);
  const each = Object.entries(perCpu).map(([kind, most]) => `${kind} ${most} on each CPU`);
  const changes = switches === null ? [] : [`${count(switches, 'change')} of CPU at most`];
  return [`${cpus} CPU(s)`, ...events, ...each, ...changes].join(', ');
}

/** One line for each invariant that a window suspended. */
function suspendedText({ suspended }: Exploration): string[] {
  const ids = [...new Set(suspended.map(({ invariant }) => invariant))];
  return ids.map((id) => {
    const windows = suspended
      .filter(({ invariant }) => invariant === id)
      .map(({ window, sites }) => `${window} (${sites} sites)`);
    return `  ${id} not checked in windows: ${windows.join(', ')}`;
  });
}

/** One search in the document that `--json` prints. */
export function toJson(result: Exploration): object {
  const { sitesReached, undelivered, ...rest } = result;
  return { ...rest, coverage: { sitesReached, undelivered } };
}

/** 0 if all hold, 1 if one is violated, 3 if a search did not finish. */
export function exitStatus(results: readonly Exploration[]): number {
  if (results.some(({ verdict }) => verdict === 'violated')) return 1;
  return results.some(({ verdict }) => verdict === 'incomplete') ? 3 : 0;
}
