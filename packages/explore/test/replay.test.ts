// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import {
  ExploreError,
  explore,
  replay,
  type SavedTrace,
  type Scenario,
  stepsOf,
} from '../src/index.ts';
import { lostUpdate, paddedUpdate, protocol } from './support.ts';

const PROTECTED = -0x3600_0000_0000;
const CR4_PKS = 1 << 24;
const PKRS = 0x6e1;

function savedFrom(scenario: Scenario): SavedTrace {
  const { saved } = explore(scenario);
  if (saved === null) throw new Error('nothing is violated');
  return saved;
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
    const again = replay(paddedUpdate(1, 3), savedFrom(paddedUpdate(1, 0)));
    expect(again).toMatchObject({ outcome: 'violated', reproduced: true });
  });

  it('ends without harm where the kernel is repaired', () => {
    const again = replay(paddedUpdate(1, 0, 1), savedFrom(paddedUpdate(1, 0)));
    expect(again).toMatchObject({ outcome: 'ended', violation: null, divergedAt: null });
  });

  it('says where it diverged if an event finds no place', () => {
    const saved = savedFrom(paddedUpdate(1, 0));
    const points = saved.points.map((point) => ({ ...point, occurrence: 9 }));
    expect(replay(paddedUpdate(1, 0), { ...saved, points })).toMatchObject({
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
      ...paddedUpdate(1, 0),
      setup(request) {
        asked.push(request);
        return paddedUpdate(1, 0).setup(request);
      },
    };
    const options = { revision: 'v7', repairs: ['D-01'], with: { a: 'b' } } as const;
    expect(replay(scenario, savedFrom(paddedUpdate(1, 0)), options)).toMatchObject(options);
    expect(asked).toEqual([{ ...options, sabotages: [] }]);
  });
});

describe('a search guided by a saved trace', () => {
  it('begins with its events and goes on from there', () => {
    const saved = savedFrom(lostUpdate(1, { preempt: 1 }));
    const scenario = lostUpdate(1, { preempt: 1 });
    const guided = explore(scenario, { strategy: 'guided', guide: stepsOf(scenario, saved) });
    expect(guided).toMatchObject({ verdict: 'violated', events: 1, minimal: { events: false } });
    // The event is spent in the guide's part: what is left has few ends.
    const free = explore(lostUpdate(1, { preempt: 1 }));
    expect(guided.executions).toBeLessThan(free.executions);
  });

  it.each([
    ['an event', lostUpdate(1, { preempt: 1 }), 'preempt on CPU 0'],
    ['a change of CPU', lostUpdate(2), 'the change to CPU'],
  ])('is refused where %s of the trace never comes up', (_what, scenario, where) => {
    const saved = savedFrom(scenario);
    const points = saved.points.map((point) => ({ ...point, site: 'elsewhere' }));
    const guide = stepsOf(scenario, { ...saved, points });
    const search = () => explore(scenario, { strategy: 'guided', guide });
    expect(search).toThrow(ExploreError);
    expect(search).toThrow(`the trace diverged at ${where}`);
  });

  it('is refused where the trace never ends', () => {
    const scenario = lostUpdate(1, { preempt: 1 });
    const guide = stepsOf(scenario, savedFrom(scenario));
    const forever = protocol({
      budget: { preempt: 1 },
      code(kernel) {
        const { slots, machine, mm } = kernel;
        mm.map(PROTECTED, 0x40_0000, 4096, { key: 1, writable: true });
        machine.writeCr(4, machine.readCr(4) | CR4_PKS);
        machine.wrmsr(PKRS, 0x5555_5554);
        slots.keyFault.push(() => true);
        return { tasks: [[() => machine.store32(PROTECTED, 1)]] };
      },
    });
    expect(() => explore(forever, { strategy: 'guided', guide })).toThrow('diverged at preempt');
  });

  it('is refused on another scenario, and on another number of CPUs', () => {
    const scenario = lostUpdate(2);
    const saved = savedFrom(scenario);
    const other = { ...scenario, name: 'other' };
    expect(() => stepsOf(other, saved)).toThrow('the trace is one of protocol, not of other');
    const guide = stepsOf(scenario, { ...saved, cpus: 3 });
    const search = () => explore(scenario, { strategy: 'guided', guide });
    expect(search).toThrow('the trace was found on 3 CPUs, not on 2');
  });

  it('says of the exhaustive search that nothing is smaller', () => {
    const found = explore(lostUpdate(1, { preempt: 1 }));
    expect(found.minimal).toEqual({ events: true, operations: true });
    expect(explore(lostUpdate(1)).minimal).toBeNull();
  });
});
