import { describe, expect, it } from 'vitest';
import {
  type Budget,
  Coverage,
  ExhaustiveSearch,
  explore,
  invariant,
  type Limits,
  type Scenario,
  System,
  totalEvents,
} from '../src/index.ts';
import { cell, endsWith, lostUpdate, NONE, protocol, REFERENCE } from './support.ts';

const noLimits: Limits = { maxStates: 1_000_000, shouldStop: () => false };

function search(scenario: Scenario, limits = noLimits) {
  const system = new System(scenario.setup(REFERENCE));
  return new ExhaustiveSearch(system, limits, new Coverage(system)).run(scenario.budget);
}

/** A search that counts the different states which it enters; the start of each round is one that no step leads to. */
function distinctStates(scenario: Scenario): { verdict: string; distinct: number } {
  const system = new System(scenario.setup(REFERENCE));
  const entered = new Set<string>();
  const perform = system.perform.bind(system);
  system.perform = (action) => {
    perform(action);
    entered.add(`${system.undo.low} ${system.undo.high}`);
  };
  const { verdict } = new ExhaustiveSearch(system, noLimits, new Coverage(system)).run(
    scenario.budget,
  );
  return { verdict, distinct: entered.size + totalEvents(scenario.budget, 2) + 1 };
}

/**
 * The states of a scenario, counted without undo log, hash and depth-first search: every schedule is run from
 * the start on a system of its own, and states are compared cell by cell.
 */
function countStates(scenario: Scenario, budget: Budget, events: number): number {
  const at = (path: readonly number[]): System => {
    const system = new System(scenario.setup(REFERENCE));
    system.enabled.setBudget(budget, events);
    for (const i of path) system.perform(system.enabled.actions()[i] as never);
    return system;
  };
  const seen = new Set<string>();
  const queue: number[][] = [[]];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    const system = at(path);
    const state = stateText(system);
    if (seen.has(state)) continue;
    seen.add(state);
    for (const i of system.enabled.actions().keys()) queue.push([...path, i]);
  }
  return seen.size;
}

/** Every cell, and where each context is: by its history, since node numbers differ from run to run. */
function stateText(system: System): string {
  const parts: string[] = [];
  for (const column of system.machine.columns) {
    if (!column.field.name.startsWith('explore.frames')) parts.push([...column.values].join());
    else parts.push([...column.values].map((id) => historyOf(system, id)).join());
  }
  return parts.join(';');
}

function historyOf(system: System, id: number): string {
  let text = '';
  for (let node = system.tries.nodes[id] ?? null; node !== null; node = node.parent) {
    text = `${node.result}:${node.high} ${text}${node.parent === null ? node.routine.key : ''}`;
  }
  return text;
}

const interrupted = protocol({
  budget: { irq: 1, nmi: 1 },
  code(kernel) {
    const x = cell(kernel, 'x');
    kernel.entry.requestIrq(0x20, () => void x.add(0, 2));
    kernel.entry.registerNmi(() => void x.add(0, 4));
    return { tasks: [[() => void x.add(0, 1)]] };
  },
});

describe('ExhaustiveSearch', () => {
  it.each([
    ['one task, an interrupt and an NMI', interrupted],
    ['two tasks on one CPU, a preemption', lostUpdate(1, { preempt: 1 })],
    ['two tasks on two CPUs', lostUpdate(2)],
  ])(
    'enters exactly the states that there are: %s',
    (_name, scenario) => {
      const held = { ...scenario, setup: () => ({ ...scenario.setup(REFERENCE), invariants: [] }) };
      const total = totalEvents(scenario.budget, 2);
      let expected = 0;
      for (let n = 0; n <= total; n++) expected += countStates(held, scenario.budget, n);
      expect(distinctStates(held)).toEqual({ verdict: 'holds', distinct: expected });
    },
    60_000,
  );

  it('counts one state for each operation where nothing is left open', () => {
    const straight = (operations: number): Scenario =>
      protocol({
        code(kernel) {
          const x = cell(kernel, 'x');
          return {
            tasks: [
              [
                () => {
                  for (let i = 0; i < operations; i++) x.add(0, 1);
                },
              ],
            ],
          };
        },
      });
    const { states, executions } = search(straight(1));
    expect(executions).toBe(1);
    expect(search(straight(11)).states).toBe(states + 10);
  });

  it('finds a lost update: between two tasks on one CPU only with a preemption', () => {
    expect(search(lostUpdate(1)).verdict).toBe('holds');
    const found = search(lostUpdate(1, { preempt: 2, irq: 1 }));
    expect(found).toMatchObject({ verdict: 'violated', events: 1 });
    expect(found.violation?.message).toBe('ends as 1');
    expect(found.schedule.filter(({ event }) => event !== null)).toMatchObject([
      { event: 'preempt' },
    ]);
  });

  it('finds it on two CPUs without any event', () => {
    expect(search(lostUpdate(2))).toMatchObject({ verdict: 'violated', events: 0 });
  });

  it('finds a lock-order deadlock', () => {
    const abba = protocol({
      cpus: 2,
      code(kernel) {
        const a = kernel.spinLock('a');
        const b = kernel.spinLock('b');
        const both = (one: typeof a, other: typeof a) => () => {
          one.lock();
          other.lock();
          other.unlock();
          one.unlock();
        };
        return { tasks: [[both(a, b)], [both(b, a)]] };
      },
    });
    expect(search(abba)).toMatchObject({
      verdict: 'violated',
      violation: { invariant: 'I16', message: expect.stringContaining('deadlock') },
    });
  });

  it('finds a handler that takes the lock of the task under it', () => {
    const scenario = (irqsOff: boolean): Scenario =>
      protocol({
        budget: { irq: 1 },
        code(kernel) {
          const lock = kernel.spinLock('lock');
          kernel.entry.requestIrq(0x20, () => {
            lock.lock();
            lock.unlock();
          });
          const body = (): void => {
            const flags = irqsOff ? kernel.machine.pushfCli() : 1;
            lock.lock();
            lock.unlock();
            if (irqsOff) kernel.machine.popfIf(flags);
          };
          return { tasks: [[body]] };
        },
      });
    expect(search(scenario(false))).toMatchObject({ verdict: 'violated', events: 1 });
    expect(search(scenario(true)).verdict).toBe('holds');
  });

  it('says incomplete at maxStates, and never holds', () => {
    const { states } = search(interrupted);
    for (const maxStates of [1, 10, states - 1]) {
      const cut = search(interrupted, { ...noLimits, maxStates });
      expect(cut.verdict).toBe('incomplete');
      expect(cut.states).toBe(maxStates);
    }
    expect(search(interrupted, { ...noLimits, maxStates: states + 1 }).verdict).toBe('holds');
  });

  it('says incomplete when it is stopped', () => {
    const long = protocol({
      budget: { irq: 2, nmi: 2 },
      code: (kernel) => {
        const x = cell(kernel, 'x');
        const body = (): void => {
          for (let i = 0; i < 30; i++) x.add(0, 1);
        };
        return { tasks: [[body]] };
      },
    });
    const seen: number[] = [];
    const shouldStop = ({ states }: { states: number }): boolean => seen.push(states) > 1;
    expect(search(long, { ...noLimits, shouldStop }).verdict).toBe('incomplete');
    expect(seen).toHaveLength(2);
  });

  it('says incomplete where it left events out because entries were nested too deep', () => {
    const nested = protocol({ budget: { irq: 0, nmi: 9 }, code: () => ({ tasks: [[() => {}]] }) });
    // NMIs do not nest, so nothing is left out here.
    expect(search({ ...nested, budget: { ...NONE, nmi: 2 } }).verdict).toBe('holds');
    const deep = protocol({
      budget: { irq: 8 },
      code(kernel) {
        kernel.entry.requestIrq(0x20, () => kernel.machine.sti());
        return { tasks: [[() => {}]] };
      },
    });
    expect(search(deep, { ...noLimits, maxStates: 3_000_000 }).verdict).toBe('incomplete');
  });

  it('reports what is broken before the first step, without a schedule', () => {
    const broken = protocol({
      code: () => ({
        tasks: [[() => {}]],
        invariants: [{ id: 'never', text: 'never holds', boundary: () => 'broken' }],
      }),
    });
    expect(search(broken)).toMatchObject({
      verdict: 'violated',
      violation: { invariant: 'never' },
      schedule: [],
      events: 0,
    });
  });

  it('shortens a violation: no schedule with as many events has fewer operations', () => {
    // The first path that the search takes to the violation is the long one.
    const detour = protocol({
      cpus: 2,
      code(kernel) {
        const x = cell(kernel, 'x');
        const y = cell(kernel, 'y');
        const slow = (): void => {
          for (let i = 0; i < 10; i++) y.add(0, 1);
        };
        const check = invariant({
          id: 'x',
          text: 'x stays 0',
          boundary: () => (x.values[0] === 0 ? null : 'x is 1'),
        });
        return { tasks: [[slow], [() => x.set(0, 1)]], invariants: [check] };
      },
    });
    const found = search(detour);
    expect(found.schedule).toHaveLength(1);
  });

  it('keeps to the invariant that it shortens', () => {
    const two = protocol({
      cpus: 2,
      code(kernel) {
        const x = cell(kernel, 'x');
        const y = cell(kernel, 'y');
        const is = (column: typeof x, id: string) =>
          invariant({ id, text: id, boundary: () => (column.values[0] === 0 ? null : id) });
        const first = (): void => {
          y.get(0);
          y.get(0);
          x.set(0, 1);
        };
        return { tasks: [[first], [() => y.set(0, 1)]], invariants: [is(x, 'X'), is(y, 'Y')] };
      },
    });
    const { violation, schedule } = search(two);
    expect(schedule).toHaveLength(violation?.invariant === 'X' ? 3 : 1);
  });
});

describe('a seqlock', () => {
  /** The reader takes one snapshot; it must be whole where the sequence says so. */
  const seqlock = (writeSequenceFirst: boolean): Scenario =>
    protocol({
      cpus: 2,
      code(kernel) {
        const sequence = cell(kernel, 'sequence');
        const data = cell(kernel, 'data', 2);
        const torn = cell(kernel, 'torn');
        const writer = (): void => {
          if (writeSequenceFirst) sequence.add(0, 1);
          data.set(0, 1);
          data.set(1, 1);
          sequence.add(0, writeSequenceFirst ? 1 : 2);
        };
        const reader = (): void => {
          const before = sequence.get(0);
          const [one, other] = [data.get(0), data.get(1)];
          if (before % 2 === 0 && sequence.get(0) === before && one !== other) torn.set(0, 1);
        };
        return { tasks: [[writer], [reader]], invariants: [endsWith(torn, 0)] };
      },
    });

  it('holds, and a writer that does not announce itself is found', () => {
    expect(explore(seqlock(true)).verdict).toBe('holds');
    expect(explore(seqlock(false))).toMatchObject({ verdict: 'violated', events: 0 });
  });
});
