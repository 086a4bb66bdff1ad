// SPDX-License-Identifier: MIT
import { Deadlock } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { explore, type Strategy } from '../src/index.ts';
import { cell, endsWith, protocol, smallKernel } from './support.ts';

/** A compare-and-exchange loop: what it read may have changed, then it begins again. */
function incrementing(cpus: number, budget = {}) {
  return protocol({
    cpus,
    budget,
    code(kernel) {
      const x = cell(kernel, 'x');
      const body = (): void => {
        for (;;) {
          const seen = x.get(0);
          if (x.compareExchange(0, seen, seen + 1) === seen) return;
          x.retry(0, seen);
        }
      };
      return { tasks: [[body], [body]], invariants: [endsWith(x, 2)] };
    },
  });
}

describe('retry', () => {
  it.each([
    [1, { preempt: 1 }],
    [2, {}],
  ])('goes on where the cell has changed already: %i CPU(s)', (cpus, budget) => {
    expect(explore(incrementing(cpus, budget))).toMatchObject({ verdict: 'holds' });
  });

  it('waits for a change: where nobody can make one, that is a deadlock', () => {
    const scenario = protocol({
      code(kernel) {
        const x = cell(kernel, 'x');
        return { tasks: [[() => x.retry(0, x.get(0))]] };
      },
    });
    expect(explore(scenario)).toMatchObject({ verdict: 'violated', invariant: 'I16' });
  });

  it('finds every end that a change leads to', () => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const x = cell(kernel, 'x');
        const y = cell(kernel, 'y');
        const waiter = (): void => {
          x.retry(0, 0);
          y.set(0, x.get(0));
        };
        const writer = (): void => {
          x.set(0, 1);
          x.set(0, 2);
        };
        return { tasks: [[waiter], [writer]], invariants: [endsWith(y, 1)] };
      },
    });
    expect(explore(scenario)).toMatchObject({ verdict: 'violated', message: 'ends as 2' });
  });

  it('lets other CPUs run on the live engine, and is a deadlock where none can help', () => {
    const kernel = smallKernel(2);
    const x = cell(kernel, 'x');
    kernel.spawnCode({ name: 'other', calls: [() => x.set(0, 5)], cpu: 1 });
    kernel.call(() => x.retry(0, 0));
    expect(x.values[0]).toBe(5);
    expect(() => kernel.call(() => x.retry(0, 5))).toThrow(Deadlock);
  });
});

/** What a task of Peterson's lock does wrong. */
type Fault = 'none' | 'stores swapped' | 'waits for the turn alone' | 'waits for the flag alone';

/** Peterson's lock for two tasks: a loop reads the other's flag and whose turn it is, and waits for either to change. */
function peterson(fault: Fault, cpus = 2, budget = {}) {
  return protocol({
    cpus,
    budget,
    code(kernel) {
      const { machine } = kernel;
      const [flag, turn] = [cell(kernel, 'flag', 2), cell(kernel, 'turn')];
      const [inside, both] = [cell(kernel, 'inside'), cell(kernel, 'both')];
      const wait = (other: number, theirs: number, whose: number): void => {
        if (fault === 'waits for the turn alone') turn.retry(0, whose);
        else if (fault === 'waits for the flag alone') flag.retry(other, theirs);
        else {
          machine.retryAny(
            { column: flag, index: other, seen: theirs },
            { column: turn, index: 0, seen: whose },
          );
        }
      };
      const announce = (me: number): void => {
        const stores = [() => flag.set(me, 1), () => turn.set(0, 1 - me)];
        for (const store of fault === 'stores swapped' ? stores.reverse() : stores) store();
      };
      const lock = (me: number): void => {
        const other = 1 - me;
        announce(me);
        for (;;) {
          const theirs = flag.get(other);
          if (theirs === 0) return;
          const whose = turn.get(0);
          if (whose === me) return;
          wait(other, theirs, whose);
        }
      };
      const section = (me: number) =>
        function enter(): void {
          lock(me);
          if (inside.add(0, 1) !== 1) both.set(0, 1);
          inside.add(0, -1);
          flag.set(me, 0);
        };
      const invariants = [{ ...endsWith(both, 0), looksAt: [] }];
      return { tasks: [[section(0)], [section(1)]], invariants };
    },
  });
}

describe('retryAny', () => {
  const strategies: readonly Strategy[] = ['exhaustive', 'stateful'];

  it.each(strategies)('goes on where any of several cells has changed: %s', (strategy) => {
    expect(explore(peterson('none'), { strategy })).toMatchObject({ verdict: 'holds' });
    expect(explore(peterson('none'), { strategy, exact: true })).toMatchObject({
      verdict: 'holds',
    });
    expect(explore(peterson('stores swapped'), { strategy })).toMatchObject({
      verdict: 'violated',
      invariant: 'end',
    });
  });

  it('does where one CPU changes tasks, with events where they conflict and everywhere', () => {
    const onOne = (fault: Fault) => peterson(fault, 1, { preempt: 3 });
    for (const deliver of ['every-op', 'conflict'] as const) {
      // A task that waits holds its CPU: the other one is never let in again once the preemptions are spent.
      expect(explore(onOne('none'), { deliver })).toMatchObject({ invariant: 'I16', events: 1 });
    }
  });

  it.each(['waits for the turn alone', 'waits for the flag alone'] as const)(
    'with one of them alone the loop %s, and sleeps through a change of the other',
    (fault) => {
      const { invariant, trace } = explore(peterson(fault));
      expect(invariant).toBe('I16');
      expect(trace).toMatch(/stands at retry test\.(flag|turn) in wait: it goes on once/);
    },
  );

  it('has every cell that it waits for in the trace and in the explanation of a deadlock', () => {
    const scenario = protocol({
      code(kernel) {
        const [x, y] = [cell(kernel, 'x'), cell(kernel, 'y')];
        const cells = [x, y].map((column) => ({ column, index: 0, seen: 0 }));
        const waiter = (): void => kernel.machine.retryAny(...cells);
        return { tasks: [[() => y.set(0, 1), waiter, () => y.set(0, 0), waiter]] };
      },
    });
    const { explanation, recording, trace } = explore(scenario);
    expect(recording?.steps.map(({ text }) => text)).toContain(
      'retryAny test.x[0], 0 or test.y[0], 0',
    );
    expect(explanation?.waiting).toMatchObject([
      {
        at: 'retryAny test.x, test.y',
        cells: [
          { cell: 'test.x[0]', wanted: 'other than 0', step: null },
          { cell: 'test.y[0]', wanted: 'other than 0', operation: 'test.y[0] := 0' },
        ],
      },
    ]);
    expect(trace).toContain('once test.x[0] is other than 0 or test.y[0] is other than 0.');
  });

  it.each(['none', 'stores swapped'] as const)('is the same on both engines: %s', (fault) => {
    const options = { strategy: 'random', schedules: 300 } as const;
    const live = explore(peterson(fault), { ...options, engine: 'live' });
    const memoised = explore(peterson(fault), options);
    expect(live.verdict).toBe(fault === 'none' ? 'incomplete' : 'violated');
    expect([live.message, live.states]).toEqual([memoised.message, memoised.states]);
  });

  it('lets other CPUs run outside a search, and is a deadlock where none can help', () => {
    const kernel = smallKernel(2);
    const [x, y] = [cell(kernel, 'x'), cell(kernel, 'y')];
    const seen = (value: number) => [
      { column: x, index: 0, seen: 0 },
      { column: y, index: 0, seen: value },
    ];
    kernel.spawnCode({ name: 'other', calls: [() => y.set(0, 5)], cpu: 1 });
    kernel.call(() => kernel.machine.retryAny(...seen(0)));
    expect(y.values[0]).toBe(5);
    expect(() => kernel.call(() => kernel.machine.retryAny(...seen(5)))).toThrow(
      'CPU 0 waits for test.x[0] or test.y[0], which nobody can change',
    );
    expect(() => kernel.machine.retryAny()).toThrow(RangeError);
  });
});

describe('what only a retry reads', () => {
  /** Only between the first two stores can the waiter go on before the writer's work is done. */
  const watched = (any: boolean) =>
    protocol({
      cpus: 2,
      code(kernel) {
        const [x, y, z] = [cell(kernel, 'x'), cell(kernel, 'y'), cell(kernel, 'z')];
        const waiter = (): void => {
          if (any) kernel.machine.retryAny({ column: x, index: 0, seen: 0 });
          else x.retry(0, 0);
          z.set(0, y.get(0));
        };
        const writer = (): void => {
          x.set(0, 1);
          x.set(0, 0);
          y.set(0, 2);
          x.set(0, 1);
        };
        return { tasks: [[waiter], [writer]], invariants: [{ ...endsWith(z, 2), looksAt: [] }] };
      },
    });

  it.each([true, false])('is not taken for private: any %s', (any) => {
    for (const strategy of ['exhaustive', 'stateful'] as const) {
      expect(explore(watched(any), { strategy }).verdict).toBe('violated');
    }
  });

  it('is where an interrupt matters: with events where they conflict the same is found', () => {
    const handled = (seen: number) =>
      protocol({
        budget: { irq: 1 },
        code(kernel) {
          const x = cell(kernel, 'x');
          kernel.entry.requestIrq(0x20, () => x.retry(0, seen));
          const body = (): void => {
            x.set(0, 2);
            x.set(0, 0);
          };
          return { tasks: [[body]] };
        },
      });
    for (const deliver of ['every-op', 'conflict'] as const) {
      // Between the two stores the handler waits for what only the task below it can do.
      expect(explore(handled(2), { deliver })).toMatchObject({ invariant: 'I16', events: 1 });
      expect(explore(handled(3), { deliver })).toMatchObject({ verdict: 'holds' });
    }
  });
});
