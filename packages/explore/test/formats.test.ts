// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { chromeTrace, explore, mermaidText, type Recording } from '../src/index.ts';
import { cell, lostUpdate, protocol } from './support.ts';

function recordingOf(scenario: Parameters<typeof explore>[0]): Recording {
  const { recording } = explore(scenario);
  if (recording === null) throw new Error('nothing is violated');
  return recording;
}

/** An interrupt above a task; the violation is in the handler. */
const nested = recordingOf(
  protocol({
    budget: { irq: 1 },
    code(kernel) {
      const x = cell(kernel, 'x');
      kernel.entry.requestIrq(0x20, () => void x.add(0, 10));
      const check = {
        id: 'late',
        text: 'no handler runs once x is set',
        cells: [{ label: 'x; #1', column: x, index: () => 0 }],
        boundary: () => (x.values[0] === 11 ? 'x is 11; a # in between' : null),
      };
      return { tasks: [[() => void x.add(0, 1)]], invariants: [check] };
    },
  }),
);

const two = recordingOf(lostUpdate(2));

/** One statement of a sequence diagram, as far as these use them. */
const STATEMENTS = [
  /^ {2}participant p\d+ as [^;#\n]+$/,
  /^ {2}p\d+->>p\d+: ([^;#\n]|#\d+;)+$/,
  /^ {2}Note (over|right of) p\d+: ([^;#\n]|#\d+;)+$/,
];

describe('mermaidText()', () => {
  it.each([
    ['one CPU', nested],
    ['two CPUs', two],
  ])('keeps to the syntax of sequence diagrams: %s', (_, recording) => {
    const [head, ...lines] = mermaidText(recording).trimEnd().split('\n');
    expect(head).toBe('sequenceDiagram');
    for (const line of lines) {
      expect(
        STATEMENTS.some((statement) => statement.test(line)),
        line,
      ).toBe(true);
    }
  });

  it('declares each participant once, before it is used', () => {
    const lines = mermaidText(two).split('\n');
    const declared = lines.flatMap((line) => /participant (p\d+)/.exec(line)?.[1] ?? []);
    expect(new Set(declared).size).toBe(declared.length);
    const used = lines.flatMap((line) => /^ {2}(p\d+)->>/.exec(line)?.[1] ?? []);
    expect(new Set(used)).toEqual(new Set(declared));
  });

  it('has every step, the event, and the violation', () => {
    const text = mermaidText(nested);
    expect(text.match(/->>/g)).toHaveLength(
      nested.steps.filter(({ event }) => event === null).length,
    );
    expect(text).toContain(': event: irq, vector 0x20');
    expect(text).toContain('violated late: x is 11#59; a #35; in between');
  });
});

describe('chromeTrace()', () => {
  const { traceEvents, otherData } = chromeTrace(nested);

  it('has only events with what the format demands of their phase', () => {
    for (const event of [...traceEvents, ...chromeTrace(two).traceEvents]) {
      expect(event).toMatchObject({ name: expect.any(String), pid: 1, tid: expect.any(Number) });
      if (event.ph !== 'M') expect(event.ts).toBeGreaterThanOrEqual(0);
      if (event.ph === 'X') expect(event.dur).toBeGreaterThan(0);
      if (event.ph === 'i') expect(event.s).toBe('t');
      if (event.ph === 'C') expect(Object.values(event.args ?? {})).toEqual([expect.any(Number)]);
    }
    expect(otherData).toEqual({ invariant: 'late', message: 'x is 11; a # in between' });
  });

  it('names a track for each CPU', () => {
    const names = chromeTrace(two).traceEvents.filter(({ name }) => name === 'thread_name');
    expect(names.map(({ tid, args }) => [tid, args?.['name']])).toEqual([
      [0, 'CPU 0'],
      [1, 'CPU 1'],
    ]);
  });

  it('has slices that nest: an interrupt inside the task', () => {
    const slices = traceEvents.filter(({ ph }) => ph === 'X');
    const [task, irq] = ['A', 'A irq'].map((wanted) => slices.find(({ name }) => name === wanted));
    const end = (slice: typeof task): number => (slice?.ts ?? 0) + (slice?.dur ?? 0);
    expect(irq?.ts).toBeGreaterThan(task?.ts ?? 0);
    expect(end(irq)).toBeLessThanOrEqual(end(task));
  });

  it('has an instant for each step and one for the violation', () => {
    const instants = traceEvents.filter(({ ph }) => ph === 'i');
    expect(instants.map(({ name }) => name)).toEqual([
      ...nested.steps.map(({ text }) => text),
      'violated: late',
    ]);
  });
});
