import { describe, expect, it } from 'vitest';
import { EndlessCall, ExploreError, explore, type Scenario } from '../src/index.ts';
import { cell, endsWith, lostUpdate, protocol } from './support.ts';

describe('explore()', () => {
  it.each([
    { irq: 1, nmi: -1 },
    { irq: 0.5 },
    { irq: Number.NaN },
    { irq: 256 },
    { irq: 200, nmi: 200 },
    { perCpu: { nmi: -1 } },
  ])('refuses a budget that is no number of events: %j', (budget) => {
    expect(() => explore(lostUpdate(1), { budget })).toThrow(ExploreError);
  });

  it('says holds of a finished space, and what the space was', () => {
    const held = explore(lostUpdate(1));
    expect(held).toMatchObject({
      scenario: 'protocol',
      revision: 'reference',
      repairs: [],
      verdict: 'holds',
      invariant: null,
      message: null,
      attributedTo: null,
      events: 0,
      operations: 0,
      trace: '',
      bound: { cpus: 1, irq: 0, nmi: 0, preempt: 0, pageFault: 0, maxStates: 20_000_000 },
    });
    expect(held.states).toBeGreaterThan(10);
    expect(held.sitesReached).toBeGreaterThan(5);
  });

  it('says violated with events, operations and executions', () => {
    const found = explore(lostUpdate(1), { budget: { preempt: 1 } });
    expect(found).toMatchObject({ verdict: 'violated', invariant: 'end', events: 1 });
    expect(found.bound.preempt).toBe(1);
    expect(found.operations).toBe(found.trace.split('\n').filter(isOperation).length);
    expect(found.executions).toBeLessThanOrEqual(2000);
  });

  it('says incomplete at its limit of states', () => {
    const cut = explore(lostUpdate(2, { irq: 1 }), { maxStates: 20 });
    // The violation lies further in than 20 states.
    expect(cut).toMatchObject({ verdict: 'incomplete', states: 20 });
  });

  it('measures and limits time by the clock that it is given', () => {
    let now = 100;
    const clock = (): number => now++;
    const progress: number[] = [];
    const result = explore(longScenario(3), {
      clock,
      maxSeconds: 3,
      onProgress: ({ seconds }) => progress.push(seconds),
    });
    expect(result.verdict).toBe('incomplete');
    expect(progress).toEqual([1, 2, 3, 4]);
    expect(result.seconds).toBe(5);
  });

  it('ends when it is told to, with what it covered', () => {
    let looks = 0;
    const result = explore(longScenario(3), { shouldStop: () => ++looks === 2 });
    expect(result.verdict).toBe('incomplete');
    expect(result.sitesReached).toBeGreaterThan(5);
    expect(looks).toBe(2);
  });

  it('asks a scenario for CPUs, and refuses a number that it does not have', () => {
    const asked: unknown[] = [];
    const scenario: Scenario = {
      ...lostUpdate(1),
      cpus: [1, 2],
      setup(request, wish) {
        asked.push(wish);
        return lostUpdate(wish?.cpus ?? 1).setup(request);
      },
    };
    expect(explore(scenario)).toMatchObject({ verdict: 'holds', bound: { cpus: 1 } });
    expect(explore(scenario, { cpus: 2 })).toMatchObject({
      verdict: 'violated',
      bound: { cpus: 2 },
    });
    expect(asked.at(-1)).toEqual({ cpus: 2 });
    expect(() => explore(scenario, { cpus: 3 })).toThrow('cannot run on 3 CPUs: it runs on 1 or 2');
    expect(() => explore(lostUpdate(1), { cpus: 2 })).toThrow(ExploreError);
  });

  it('gives the same result every time', () => {
    const once = explore(longScenario(), { maxStates: 30_000 });
    expect(explore(longScenario(), { maxStates: 30_000 })).toEqual(once);
  });

  it('does not say holds of code that something outside the machine steers', () => {
    let outside = 0;
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const x = cell(kernel, 'x');
        const shares = (): void => void x.add(0, 1 + (outside++ % 2));
        return { tasks: [[shares], [() => void x.add(0, 1)]] };
      },
    });
    expect(() => explore(scenario)).toThrow(/^not deterministic at operation 0 of A/);
  });
});

describe('code that keeps something from one call to the next', () => {
  const keeping = (inCells: boolean) =>
    protocol({
      cpus: 2,
      code(kernel) {
        const [x, y, kept] = [cell(kernel, 'x'), cell(kernel, 'y'), cell(kernel, 'kept')];
        let local = 0;
        const first = (): void => {
          const seen = x.get(0);
          if (inCells) kept.set(0, seen);
          else local = seen;
        };
        const second = (): void => {
          if ((inCells ? kept.get(0) : local) === 1) y.set(0, 1);
        };
        const other = (): void => {
          x.set(0, 1);
          x.set(0, 0);
        };
        return { tasks: [[first, second], [other]], invariants: [endsWith(y, 0)] };
      },
    });

  it('is reported, with the operation: the call is not the same whenever it begins', () => {
    expect(() => explore(keeping(false))).toThrow(
      /^not deterministic at operation 0 of A:1:\d+: recorded the end, now set test.y \(0, 1\); what outlives a call belongs in cells$/,
    );
  });

  it('is explored where it keeps it in a cell', () => {
    expect(explore(keeping(true))).toMatchObject({ verdict: 'violated', message: 'ends as 1' });
  });
});

describe('a call without an end', () => {
  const spinning = (says: boolean) =>
    protocol({
      cpus: 2,
      code(kernel) {
        const [x, y] = [cell(kernel, 'x'), cell(kernel, 'y')];
        function spin(): void {
          for (let seen = x.get(0); seen === 0; seen = x.get(0)) {
            y.add(0, 1);
            if (says) x.retry(0, seen);
          }
        }
        return { tasks: [[spin], [() => x.set(0, 1)]] };
      },
    });

  it('ends the search: with the task, its function, and what it repeats', () => {
    expect(() => explore(spinning(false))).toThrow(
      /^A performs more than 5000 operations in one call, in spin; (get test.x, add test.y|add test.y, get test.x) repeats: a loop that waits has to say for what \(retry,/,
    );
    expect(() => explore(spinning(false))).toThrow(EndlessCall);
    expect(explore(spinning(true)).verdict).toBe('holds');
  });

  it('ends it too where all its operations are learnt in one run of the code, and in a handler', () => {
    const scenario = protocol({
      budget: { irq: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        kernel.entry.requestIrq(0x20, () => {
          for (;;) x.set(0, 1);
        });
        return { tasks: [[() => x.add(0, 1)]] };
      },
    });
    expect(() => explore(scenario)).toThrow(/^irq performs more than 5000 .*; set test.x repeats/);
  });

  it('is the first one that is too long: not one that ends as soon as it may', () => {
    const counting = (times: number) =>
      protocol({
        code(kernel) {
          const x = cell(kernel, 'x');
          const body = (): void => {
            for (let i = 0; i < times; i++) x.set(0, i);
          };
          return { tasks: [[body]] };
        },
      });
    expect(explore(counting(4999)).verdict).toBe('holds');
    expect(() => explore(counting(5001))).toThrow(EndlessCall);
  });
});

describe('code that asks for its CPU past the machine', () => {
  it('is reported: the same routine runs on every CPU', () => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const x = cell(kernel, 'percpu', 2);
        const body = (): void => void x.add(kernel.machine.cpu.index, 1);
        return { tasks: [[body]] };
      },
    });
    expect(() => explore(scenario)).toThrow(/^not deterministic at operation 0 of A/);
  });
});

function isOperation(line: string): boolean {
  return /^[AB] /.test(line) || line.startsWith('swapper');
}

function longScenario(each = 2) {
  return protocol({
    budget: { irq: each, nmi: each },
    code: (kernel) => {
      const x = cell(kernel, 'x');
      const body = (): void => {
        for (let i = 0; i < 30; i++) x.add(0, 1);
      };
      return { tasks: [[body]], invariants: [endsWith(x, 30)] };
    },
  });
}
