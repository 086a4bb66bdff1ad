// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { explore } from '../src/index.ts';
import { cell, lostUpdate, protocol } from './support.ts';

/** A handler that writes between a set and a get of the task breaks it; elsewhere it does no harm. */
function interrupted() {
  return protocol({
    budget: { irq: 1 },
    code(kernel) {
      const x = cell(kernel, 'x');
      const y = cell(kernel, 'y');
      kernel.entry.requestIrq(0x20, () => x.set(0, 7));
      const body = (): void => {
        y.add(0, 1);
        x.set(0, 1);
        y.set(0, x.get(0));
        y.add(0, 0);
      };
      const invariants = [
        {
          id: 'own',
          text: 'a task reads back what it wrote',
          cells: [{ column: y, index: () => 0 }],
          boundary: () => (y.values[0] === 7 ? 'y is 7' : null),
        },
      ];
      return { tasks: [[body]], invariants };
    },
  });
}

describe('the explanation of a violation', () => {
  const found = explore(interrupted());

  it('has the rule, and who changed its cells last', () => {
    expect(found.explanation).toMatchObject({
      rule: 'a task reads back what it wrote',
      cells: [{ cell: 'test.y[0]', value: '7', by: 'A', operation: 'test.y[0] := 7' }],
    });
    const [history] = found.explanation?.cells ?? [];
    const { steps = [] } = found.recording ?? {};
    expect(steps[(history?.step ?? 0) - 1]).toMatchObject({ text: 'test.y[0] := 7' });
  });

  it('says of a cell that nothing changed that it is as it was', () => {
    const scenario = protocol({
      code(kernel) {
        const x = cell(kernel, 'x');
        const check = { id: 'never', text: 'x is 1', cells: [{ column: x, index: () => 0 }] };
        return {
          tasks: [[() => void x.get(0)]],
          invariants: [{ ...check, end: () => 'x is 0' }],
        };
      },
    });
    const { explanation, trace } = explore(scenario);
    expect(explanation?.cells).toMatchObject([{ cell: 'test.x[0]', step: null, by: null }]);
    expect(trace).toContain('test.x[0] is 0, as it was at the start.');
  });

  it('has the nearest place at which the same event does no harm, found by running it there', () => {
    // Between the set and the get it harms; one operation earlier it comes before the set.
    expect(found.explanation?.nearestPassing).toEqual({
      event: 'irq',
      cpu: 0,
      operations: 1,
      direction: 'earlier',
      before: 'set test.x',
    });
    expect(found.trace).toContain(
      'The same events pass if the irq comes 1 operation earlier: before set test.x.',
    );
  });

  it('moves a change of CPU where there is no event', () => {
    const { explanation, trace } = explore(lostUpdate(2));
    expect(explanation?.nearestPassing).toMatchObject({ event: null, operations: 1 });
    expect(trace).toMatch(/The same events pass if CPU \d stops 1 operation (earlier|later)/);
  });

  it('is none where the schedule does not violate again: something outside the machine steers it', () => {
    let runs = 0;
    const scenario = protocol({
      code() {
        const run = ++runs;
        const check = { id: 'once', text: 'only once', end: () => (run === 1 ? 'now' : null) };
        return { tasks: [[() => {}]], invariants: [check] };
      },
    });
    expect(() => explore(scenario)).toThrow(
      'not deterministic: a schedule has violated once, and violates nothing when it is run again',
    );
  });

  it('is the same every time', () => {
    expect(explore(interrupted())).toEqual(found);
  });
});
