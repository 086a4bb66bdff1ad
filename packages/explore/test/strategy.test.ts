import { describe, expect, it } from 'vitest';
import { type Action, explore, type Scenario, STRATEGIES, type System } from '../src/index.ts';
import { cell, endsWith, lostUpdate, protocol } from './support.ts';

/** A lost update that needs two changes of CPU: into the middle of A, and back. */
function needsTwoSwitches(): Scenario {
  return lostUpdate(2);
}

/** Two tasks in order, unless CPU 1 gets between two operations of CPU 0 so many times. */
function needsSwitches(times: number): Scenario {
  return protocol({
    cpus: 2,
    code(kernel) {
      const turn = cell(kernel, 'turn');
      const won = cell(kernel, 'won');
      const a = (): void => {
        for (let i = 0; i < times; i++) turn.add(0, 1);
      };
      const b = (): void => {
        for (let i = 1; i <= times; i++) if (turn.get(0) !== i) return;
        won.set(0, 1);
      };
      return { tasks: [[a], [b]], invariants: [endsWith(won, 0)] };
    },
  });
}

describe('every strategy', () => {
  const some = STRATEGIES.filter((strategy) => strategy !== 'guided');

  it.each(some)('%s finds a lost update, with a schedule that replays', (strategy) => {
    const found = explore(lostUpdate(2), { strategy });
    expect(found).toMatchObject({ strategy, verdict: 'violated', message: 'ends as 1' });
    expect(found.trace).toContain('violated: end: ends as 1');
  });

  it.each(some)('%s says nothing of what it has not seen', (strategy) => {
    const limited = explore(lostUpdate(1, { irq: 1 }), { strategy, maxStates: 5 });
    expect(limited.verdict).toBe('incomplete');
  });

  it.each(['random', 'pct'] as const)('%s never says holds', (strategy) => {
    const result = explore(lostUpdate(1), { strategy, schedules: 50 });
    expect(result).toMatchObject({ verdict: 'incomplete', executions: 50 });
  });

  it.each(['exhaustive', 'stateful', 'bounded'] as const)(
    '%s says holds at the end',
    (strategy) => {
      expect(explore(lostUpdate(1, { irq: 1 }), { strategy }).verdict).toBe('holds');
    },
  );
});

describe('an end that no event came before', () => {
  /** Holds only if the interrupt comes: an end without it, or a sleep that nothing else ends. */
  function needsIrq(what: 'end' | 'sleep'): Scenario {
    return protocol({
      budget: { irq: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        kernel.entry.requestIrq(0x20, () => x.set(0, 1));
        const body = (): void => {
          if (what === 'sleep') kernel.sched.sleepUntil(x, 0, 1);
          else x.get(0);
        };
        return { tasks: [[body]], invariants: what === 'end' ? [endsWith(x, 1)] : [] };
      },
    });
  }

  it.each(STRATEGIES)('is seen by %s with events left over', (strategy) => {
    const options = strategy === 'guided' ? { strategy, guide: () => [] } : { strategy };
    expect(explore(needsIrq('end'), options)).toMatchObject({ invariant: 'end' });
    expect(explore(needsIrq('sleep'), options)).toMatchObject({
      invariant: 'I16',
      message: 'deadlock: no task can run, and some have not ended',
    });
  });
});

describe('bounded', () => {
  it('says its bound', () => {
    const { switches } = explore(lostUpdate(2), { strategy: 'bounded', switches: 1 });
    expect(switches).toBe(1);
    expect(explore(lostUpdate(2)).switches).toBeNull();
  });

  it('needs as many switches as the violation does', () => {
    const verdicts = [0, 1, 2, 3, 4].map(
      (switches) => explore(needsSwitches(2), { strategy: 'bounded', switches }).verdict,
    );
    // To B behind A's first step, and back; when A has ended, B goes on for nothing.
    expect(verdicts).toEqual(['holds', 'holds', 'violated', 'violated', 'violated']);
    expect(explore(needsTwoSwitches(), { strategy: 'bounded', switches: 0 }).verdict).toBe('holds');
  });

  it('enters fewer states than a search without a bound', () => {
    const bounded = explore(needsSwitches(9), { strategy: 'bounded', switches: 1 });
    expect(bounded.states).toBeLessThan(explore(needsSwitches(9), { maxStates: 1e5 }).states);
  });
});

describe('random and pct', () => {
  it.each(['random', 'pct'] as const)(
    '%s gives the same schedule for the same seed',
    (strategy) => {
      const run = (seed: number) => explore(lostUpdate(1, { preempt: 1 }), { strategy, seed });
      expect(run(3)).toEqual(run(3));
      const executions = [1, 2, 3, 4, 5, 6].map((seed) => run(seed).executions);
      expect(new Set(executions).size).toBeGreaterThan(1);
    },
  );

  it.each(['random', 'pct'] as const)('%s delivers every kind of event', (strategy) => {
    const scenario = protocol({
      cpus: 2,
      budget: { irq: 1, nmi: 1, machineCheck: 1, migrate: 1 },
      code: () => ({ tasks: [[() => {}], [() => {}]] }),
    });
    const result = explore(scenario, { strategy, schedules: 400 });
    const never = new Set(result.undelivered.map(({ event }) => event));
    // Not at every site, but each somewhere: fewer pairs are left than there are sites.
    for (const event of never) {
      const left = result.undelivered.filter((pair) => pair.event === event).length;
      expect(left).toBeLessThan(result.sitesReached);
    }
  });

  it('pct finds with a depth what it cannot find with less', () => {
    const find = (depth: number) =>
      explore(needsSwitches(2), { strategy: 'pct', depth, schedules: 3000 }).verdict;
    expect(find(1)).toBe('incomplete');
    expect(find(4)).toBe('violated');
  });

  it('stops at the limit of time', () => {
    let now = 0;
    const clock = (): number => now++;
    const result = explore(lostUpdate(1), { strategy: 'random', clock, maxSeconds: 5 });
    expect(result.executions).toBeLessThan(10);
  });
});

describe('guided', () => {
  /** Lets one CPU step so many times. */
  const steps =
    (cpu: number, count: number) =>
    (system: System): Action[] => {
      const taken: Action[] = [];
      for (let i = 0; i < count; i++) {
        const action = system.enabled.actions().find((one) => one.cpu === cpu) as Action;
        system.perform(action);
        taken.push(action);
      }
      return taken;
    };

  it('searches from where the guide has led', () => {
    const full = explore(lostUpdate(2), { strategy: 'guided', guide: () => [] });
    expect(full.verdict).toBe('violated');
    // Once A has read and written, nothing can be lost any more.
    const rest = explore(lostUpdate(2), { strategy: 'guided', guide: steps(0, 2) });
    expect(rest.verdict).toBe('holds');
    expect(rest.states).toBeLessThan(full.states + 1000);
    const found = explore(lostUpdate(2), { strategy: 'guided', guide: steps(0, 1) });
    expect(found.verdict).toBe('violated');
    expect(found.trace.split('\n')[1]).toContain('test.x[0] -> 0');
  });
});

describe('whole states', () => {
  it.each([
    ['holds', lostUpdate(1, { irq: 1, nmi: 1 })],
    ['violated', lostUpdate(2)],
    ['violated', lostUpdate(1, { preempt: 1 })],
  ] as const)(
    'give the same verdict and the same number of states as hashes: %s',
    (verdict, scenario) => {
      const hashed = explore(scenario);
      const exact = explore(scenario, { exact: true });
      expect(hashed.verdict).toBe(verdict);
      expect([exact.verdict, exact.states]).toEqual([hashed.verdict, hashed.states]);
      expect(exact.collisionOdds).toBe(0);
      expect(hashed.collisionOdds).toBeLessThan(1e-12);
    },
  );

  it('tell states apart that differ in memory alone', () => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const address = -0x7780_0000_0000 + 0x60_0000;
        const { machine } = kernel;
        const x = cell(kernel, 'x');
        const a = (): void => machine.store8(address, 1);
        const b = (): void => {
          machine.store8(address, 2);
          x.set(0, machine.load8(address));
        };
        return { tasks: [[a], [b]], invariants: [endsWith(x, 2)] };
      },
    });
    const [hashed, exact] = [explore(scenario), explore(scenario, { exact: true })];
    expect([exact.verdict, exact.states]).toEqual(['violated', hashed.states]);
  });
});
