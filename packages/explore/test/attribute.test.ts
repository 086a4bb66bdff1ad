import type { RevisionRequest } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { explore, type Scenario, scenario } from '../src/index.ts';
import { cell, endsWith, NONE, smallKernel } from './support.ts';

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
      'No single change ends it; with one and two the same events break nothing.',
    );
  });

  it('names nobody where no single repair helps', () => {
    expect(explore(broken({}), { candidates: ['nothing'] }).attributedTo).toBeNull();
  });

  it('does not try repairs that are made already', () => {
    const found = explore(broken({}), { repairs: ['made'], candidates: ['made'] });
    expect(found).toMatchObject({ repairs: ['made'], attributedTo: null });
  });
});
