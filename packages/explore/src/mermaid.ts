// SPDX-License-Identifier: MIT
// A recording as a Mermaid sequence diagram: contexts are participants, events are messages between them.

import type { Recording, TraceStep } from './recording.ts';
import { whereText } from './trace.ts';

/** Characters that end or confuse a Mermaid message, by their entity codes. */
const ENTITIES: Readonly<Record<string, string>> = { '#': '#35;', ';': '#59;' };

/**
 * A recording as the source of a Mermaid sequence diagram.
 *
 * A participant is a task, or what runs on its stack, on one CPU; operations are messages that it sends to
 * itself, watched cells that change are notes beside them.
 */
export function mermaidText(recording: Recording): string {
  const { steps, violation } = recording;
  const names = new Map<string, string>();
  const lines: string[] = [];
  for (const step of steps) lines.push(...stepLines(step, names));
  const last = steps.at(-1);
  if (violation !== null && last !== undefined) {
    const note = `violated ${violation.invariant}: ${violation.message}`;
    lines.push(`Note over ${idOf(last, names)}: ${escaped(note)}`);
  }
  const participants = [...names].map(([name, id]) => `participant ${id} as ${escaped(name)}`);
  const body = [...participants, ...lines].map((line) => `  ${line}`);
  return `${['sequenceDiagram', ...body].join('\n')}\n`;
}

function stepLines(step: TraceStep, names: Map<string, string>): string[] {
  const id = idOf(step, names);
  const changes = step.changes.map(({ label, value }) => `${label} ${value}`).join(', ');
  const line =
    step.event === null
      ? `${id}->>${id}: ${escaped(step.text)}`
      : `Note over ${id}: ${escaped(`event: ${step.text}`)}`;
  return changes === '' ? [line] : [line, `Note right of ${id}: ${escaped(changes)}`];
}

/** The participant of a step; new ones are added in the order in which they come up. */
function idOf(step: TraceStep, names: Map<string, string>): string {
  const name = `CPU ${step.cpu}, ${whereText(step)}`;
  let id = names.get(name);
  if (id === undefined) {
    id = `p${names.size}`;
    names.set(name, id);
  }
  return id;
}

function escaped(text: string): string {
  return text.replace(/[#;]/g, (character) => ENTITIES[character] as string);
}
