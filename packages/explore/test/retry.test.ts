// SPDX-License-Identifier: MIT
import { Deadlock } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { explore } from '../src/index.ts';
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
