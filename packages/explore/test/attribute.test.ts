import type { RevisionRequest } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { explore, type Scenario, scenario } from '../src/index.ts';
import { cell, endsWith, lostUpdate, NONE, smallKernel } from './support.ts';

/** A lost update. A good repair makes it lawful; the other kind breaks something else at the same events. */
function broken(repairs: Record<string, 'good' | 'other'>): Scenario {
  return scenario({
    name: 'broken',
    title: 'two tasks increment',
    budget: { ...NONE, preempt: 1 },
    setup(request: RevisionRequest) {
      const kernel = smallKernel();
      const x = cell(kernel, 'x');
      const kinds = request.repairs.map((id) => repairs[id]);
      const increment = (): void => x.set(0, x.get(0) + 1);
      const sum = endsWith(x, kinds.includes('good') ? 1 : 2);
      const invariants = kinds.includes('other') ? [{ ...sum, id: 'other' }] : [sum];
      const tasks = [kernel.spawn('A', increment), kernel.spawn('B', increment)];
      return { kernel, tasks, invariants };
    },
  });
}

/** The same, lawful only with every one of some repairs. */
function needing(repairs: readonly string[]): Scenario {
  return {
    ...broken({}),
    setup: (request) => {
      const made = repairs.every((id) => request.repairs.includes(id));
      const kinds: Record<string, 'good'> = made ? { good: 'good' } : {};
      return broken(kinds).setup({ ...request, repairs: Object.keys(kinds) });
    },
  };
}

describe('attribution', () => {
  it('names the repair with which the same events break nothing', () => {
    const found = explore(broken({ good: 'good' }), { candidates: ['nothing', 'good', 'late'] });
    expect(found.attributedTo).toBe('good');
  });

  it('names one with which something else breaks, where nothing better is known', () => {
    const found = explore(broken({ partly: 'other' }), { candidates: ['nothing', 'partly'] });
    expect(found.attributedTo).toBe('partly');
  });

  it('prefers the repair that breaks nothing', () => {
    const repairs = { partly: 'other', good: 'good' } as const;
    const found = explore(broken(repairs), { candidates: ['partly', 'good'] });
    expect(found.attributedTo).toBe('good');
  });

  it('tries two together where no single repair does it, and says so', () => {
    const found = explore(needing(['one', 'two']), { candidates: ['nothing', 'one', 'two'] });
    expect(found.attributedTo).toBeNull();
    expect(found.explanation?.attribution).toEqual({
      changes: ['one', 'two'],
      complete: true,
      single: null,
    });
    expect(found.trace).toContain(
      'No single change is known to end it; with one and two the same events break nothing.',
    );
  });

  it('names nobody where no single repair helps, and says how much was tried', () => {
    const few = explore(broken({}), { candidates: ['nothing'] });
    expect(few.attributedTo).toBeNull();
    expect(few.trace).toContain('Changes tried: 1 alone, all 0 pairs; none is known to end it.');
    const many = explore(broken({}), { candidates: Array.from({ length: 30 }, (_, i) => `R${i}`) });
    expect(many.explanation?.tried).toEqual({
      singles: 30,
      pairs: 150,
      pairsInAll: 435,
      diverged: [],
    });
    expect(many.trace).toContain(
      'Changes tried: 30 alone, 150 of 435 pairs; none is known to end it.',
    );
  });

  it('names nobody where a changed kernel does not come to where a CPU stopped', () => {
    // With the repair the race of the two CPUs is not run at all: that says nothing of the repair.
    const scenario: Scenario = {
      ...lostUpdate(2),
      setup(request: RevisionRequest) {
        if (!request.repairs.includes('other')) return lostUpdate(2).setup(request);
        const kernel = smallKernel(2);
        const x = cell(kernel, 'x');
        const increment = (): void => {
          if (x.get(0) === 0) x.exchange(0, 2);
        };
        const tasks = [kernel.spawn('A', increment), kernel.spawn('B', increment)];
        return { kernel, tasks, invariants: [endsWith(x, 2)] };
      },
    };
    const found = explore(scenario, { candidates: ['other'] });
    expect(found).toMatchObject({ verdict: 'violated', attributedTo: null });
    expect(found.explanation).toMatchObject({ attribution: null, tried: { diverged: ['other'] } });
    expect(found.trace).toContain('With other the schedule does not find its places: not known.');
  });

  it('does not try repairs that are made already', () => {
    const found = explore(broken({}), { repairs: ['made'], candidates: ['made'] });
    expect(found).toMatchObject({ repairs: ['made'], attributedTo: null });
  });
});
