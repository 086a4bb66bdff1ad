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

describe('the explanation of a deadlock', () => {
  /** Two tasks take two locks, the second one in the other order. */
  const crossed = (sameOrder: boolean) =>
    protocol({
      cpus: 2,
      code(kernel) {
        const [x, y] = [cell(kernel, 'x'), cell(kernel, 'y')];
        const both = (one: typeof x, other: typeof x, me: number) =>
          function takeBoth(): void {
            one.lock(0, me);
            other.lock(0, me);
            other.set(0, 0);
            one.set(0, 0);
          };
        const second = sameOrder ? both(x, y, 2) : both(y, x, 2);
        return { tasks: [[both(x, y, 1)], [second]] };
      },
    });

  it('names each task that waits, its operation and function, the cell, and who wrote that last', () => {
    const { explanation, recording, trace } = explore(crossed(false));
    expect(explanation?.waiting).toEqual([
      {
        task: 'A',
        context: 'A',
        cpu: 0,
        at: 'lock test.y',
        functions: ['take_both'],
        cells: [
          {
            cell: 'test.y[0]',
            wanted: '0',
            value: '2',
            step: 2,
            by: 'B',
            operation: 'lock test.y[0], 2',
            function: 'take_both',
          },
        ],
      },
      expect.objectContaining({ task: 'B', cpu: 1, at: 'lock test.x' }),
    ]);
    expect(recording?.steps[1]).toMatchObject({ task: 'B', text: 'lock test.y[0], 2' });
    expect(recording?.backtrace).toEqual(['take_both']);
    expect(trace).toContain(
      [
        '  A on CPU 0 stands at lock test.y in take_both: it goes on once test.y[0] is 0.',
        '    test.y[0] is 2, changed last at step 2 by B: lock test.y[0], 2 in take_both.',
        '  B on CPU 1 stands at lock test.x in take_both: it goes on once test.x[0] is 0.',
        '    test.x[0] is 1, changed last at step 1 by A: lock test.x[0], 1 in take_both.',
      ].join('\n'),
    );
    expect(explore(crossed(true)).verdict).toBe('holds');
  });

  it('names who sleeps, in the function that went to sleep, and who has no CPU', () => {
    const scenario = protocol({
      code(kernel) {
        const [x, y] = [cell(kernel, 'x'), cell(kernel, 'y')];
        const sleeper = (): void => kernel.sched.sleepUntil(x, 0, 1);
        const waiter = (): void => y.wait(0, 1);
        const late = (): void => y.set(0, 1);
        return { tasks: [[sleeper], [waiter], [late]] };
      },
    });
    const { explanation, recording, trace } = explore(scenario);
    expect(explanation?.waiting).toMatchObject([
      { task: 'B', cpu: 0, at: 'wait test.y', cells: [{ cell: 'test.y[0]', wanted: '1' }] },
      {
        task: 'A',
        cpu: null,
        at: 'sleep',
        cells: [{ cell: 'test.x[0]', wanted: '1', step: null }],
      },
      { task: 'C', cpu: null, at: null, cells: [] },
    ]);
    expect(recording?.backtrace).toEqual(['waiter']);
    expect(trace).toContain('  A sleeps in sleeper: it goes on once test.x[0] is 1.\n');
    expect(trace).toContain('  C could run, and no CPU takes it.\n');
  });

  it('is one too where a handler above an idle task waits for ever, and names it', () => {
    const handled = (waits: boolean) =>
      protocol({
        budget: { irq: 1 },
        code(kernel) {
          const x = cell(kernel, 'x');
          kernel.entry.requestIrq(0x20, () => (waits ? x.wait(0, 1) : x.set(0, 1)));
          return { tasks: [] };
        },
      });
    const { invariant, explanation } = explore(handled(true));
    expect(invariant).toBe('I16');
    expect(explanation?.waiting).toMatchObject([
      { task: 'swapper/0', context: 'irq', at: 'wait test.x' },
    ]);
    expect(explore(handled(false)).verdict).toBe('holds');
  });

  it('says nothing of waiting where it is none', () => {
    expect(explore(interrupted()).explanation?.waiting).toEqual([]);
  });
});
