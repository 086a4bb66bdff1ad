// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { explore, replay, type SavedTrace, type Scenario, stepsOf } from '../src/index.ts';
import { cell, endsWith, lostUpdate, protocol } from './support.ts';

function savedFrom(scenario: Scenario): SavedTrace {
  const { saved } = explore(scenario);
  if (saved === null) throw new Error('nothing is violated');
  return saved;
}

/** A lost update behind operations that the trace did not have. */
function later(padding: number, sum = 2): Scenario {
  return protocol({
    budget: { preempt: 1 },
    code(kernel) {
      const x = cell(kernel, 'x');
      const y = cell(kernel, 'y');
      const increment = (): void => x.set(0, x.get(0) + 1);
      const body = (): void => {
        for (let i = 0; i < padding; i++) y.add(0, 1);
        increment();
      };
      return { tasks: [[body], [increment]], invariants: [endsWith(x, sum)] };
    },
  });
}

describe('replay()', () => {
  it.each([1, 2])('breaks the same again: %i CPU(s)', (cpus) => {
    const scenario = lostUpdate(cpus, { preempt: 2 - cpus });
    const found = explore(scenario);
    const again = replay(scenario, found.saved as SavedTrace);
    expect(again).toMatchObject({ outcome: 'violated', reproduced: true, divergedAt: null });
    expect(again.violation).toEqual({ invariant: 'end', message: 'ends as 1' });
    expect(again.recording.steps).toEqual(found.recording?.steps);
  });

  it('finds its places where the code before them has changed', () => {
    const again = replay(later(3), savedFrom(later(0)));
    expect(again).toMatchObject({ outcome: 'violated', reproduced: true });
  });

  it('ends without harm where the kernel is repaired', () => {
    const again = replay(later(0, 1), savedFrom(later(0)));
    expect(again).toMatchObject({ outcome: 'ended', violation: null, divergedAt: null });
  });

  it('says where it diverged if an event finds no place', () => {
    const saved = savedFrom(later(0));
    const points = saved.points.map((point) => ({ ...point, occurrence: 9 }));
    expect(replay(later(0), { ...saved, points })).toMatchObject({
      outcome: 'diverged',
      divergedAt: 'preempt on CPU 0: before set test.x in increment (A:0, passed 9 times before)',
    });
  });

  it('says where it diverged if a CPU never comes to where it stopped', () => {
    const scenario = lostUpdate(2);
    const saved = savedFrom(scenario);
    const points = saved.points.map((point) => ({ ...point, site: 'elsewhere' }));
    const again = replay(scenario, { ...saved, points });
    expect(again.outcome).toBe('diverged');
    expect(again.divergedAt).toMatch(/^the change to CPU \d on CPU \d: before .+ in elsewhere/);
  });

  it('takes another request in place of the saved one', () => {
    const asked: unknown[] = [];
    const scenario: Scenario = {
      ...later(0),
      setup(request) {
        asked.push(request);
        return later(0).setup(request);
      },
    };
    const options = { revision: 'v7', repairs: ['D-01'], with: { a: 'b' } } as const;
    expect(replay(scenario, savedFrom(later(0)), options)).toMatchObject(options);
    expect(asked).toEqual([{ ...options, sabotages: [] }]);
  });
});

describe('a search guided by a saved trace', () => {
  it('begins with its events and goes on from there', () => {
    const saved = savedFrom(lostUpdate(1, { preempt: 1 }));
    const guided = explore(lostUpdate(1, { preempt: 1 }), {
      strategy: 'guided',
      guide: stepsOf(saved),
    });
    expect(guided).toMatchObject({ verdict: 'violated', events: 1, minimal: { events: false } });
    // The event is spent in the guide's part: what is left has few ends.
    const free = explore(lostUpdate(1, { preempt: 1 }));
    expect(guided.executions).toBeLessThan(free.executions);
  });

  it('says of the exhaustive search that nothing is smaller', () => {
    const found = explore(lostUpdate(1, { preempt: 1 }));
    expect(found.minimal).toEqual({ events: true, operations: true });
    expect(explore(lostUpdate(1)).minimal).toBeNull();
  });
});
