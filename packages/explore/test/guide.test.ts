import { describe, expect, it } from 'vitest';
import { guideOf, openBudget, runGuided } from '../src/guide.ts';
import { Coverage, ExhaustiveSearch, type Scenario, System } from '../src/index.ts';
import {
  cell,
  endsWith,
  lostUpdate,
  paddedUpdate,
  protocol,
  REFERENCE,
  systemOf,
} from './support.ts';

const noLimits = { maxStates: 1_000_000, shouldStop: (): boolean => false };

function violationOf(scenario: Scenario) {
  const system = new System(scenario.setup(REFERENCE));
  const result = new ExhaustiveSearch(system, noLimits, new Coverage(system)).run(scenario.budget);
  expect(result.verdict).toBe('violated');
  const original = new System(scenario.setup(REFERENCE));
  openBudget(original, scenario.budget);
  return { result, guide: guideOf(original, result.schedule), original };
}

describe('a guide', () => {
  it('lists events and alternatives only, not the steps between', () => {
    const { guide, result } = violationOf(lostUpdate(1, { preempt: 1 }));
    expect(guide.points).toHaveLength(1);
    expect(guide.points[0]).toMatchObject({ event: 'preempt', cpu: 0, to: 0 });
    expect(result.schedule.length).toBeGreaterThan(20);
  });

  it('ends where the schedule ended', () => {
    const { original } = violationOf(lostUpdate(1, { preempt: 1 }));
    expect(original.checker.violation?.message ?? 'at the end').toBe('at the end');
    expect(original.ended).toBe(true);
  });

  it.each([1, 2])('breaks the same on a system of its own: %i CPU(s)', (cpus) => {
    const scenario = paddedUpdate(cpus, 0);
    const { guide } = violationOf(scenario);
    const system = systemOf(scenario);
    expect(runGuided(system, guide)).toBe('violated');
    expect(system.checker.violation?.message).toBe('ends as 1');
  });

  it.each([1, 2])('finds its places where other code comes first: %i CPU(s)', (cpus) => {
    const { guide } = violationOf(paddedUpdate(cpus, 0));
    const longer = systemOf(paddedUpdate(cpus, 3));
    expect(runGuided(longer, guide)).toBe('violated');
  });

  it('counts occurrences: the second time at a site is another place', () => {
    const twice = protocol({
      budget: { irq: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        kernel.entry.requestIrq(0x20, () => void x.add(0, 10));
        const body = (): void => {
          for (let i = 0; i < 3; i++) x.set(0, x.get(0) * 2 + 1);
        };
        // 7 without an interrupt; 47 only if it comes before the second round.
        const only = endsWith(x, 47);
        const not47 = { ...only, end: () => (x.values[0] === 47 ? '47' : null) };
        return { tasks: [[body]], invariants: [not47] };
      },
    });
    const { guide } = violationOf(twice);
    expect(guide.points).toMatchObject([{ event: 'irq', occurrence: 1 }]);
    expect(runGuided(systemOf(twice), guide)).toBe('violated');
  });

  it('ends without harm where nothing is broken any more', () => {
    const { guide } = violationOf(paddedUpdate(1, 0));
    expect(runGuided(systemOf(paddedUpdate(1, 0, 1)), guide)).toBe('ended');
  });

  it('diverges where the place of an event never comes up', () => {
    const { guide } = violationOf(paddedUpdate(1, 0));
    const [point] = guide.points;
    if (point === undefined) throw new Error('no point');
    const elsewhere = { ...guide, points: [{ ...point, occurrence: 99 }] };
    expect(runGuided(systemOf(paddedUpdate(1, 0)), elsewhere)).toBe('diverged');
  });
});
