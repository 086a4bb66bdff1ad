import { describe, expect, it } from 'vitest';
import {
  ExploreError,
  explore,
  lockOrder,
  noSleepingWhileAtomic,
  parseTrace,
  replay,
  type Scenario,
} from '../src/index.ts';
import { cell, protocol, smallKernel } from './support.ts';

/** Tasks that take two locks, one after the other; no schedule of them deadlocks, for B waits for A's end. */
function ordered(second: readonly ['a' | 'b' | 'c', 'a' | 'b' | 'c'], mutex = false): Scenario {
  return protocol({
    code(kernel) {
      const make = (name: string) => (mutex ? kernel.mutex(name) : kernel.spinLock(name));
      const locks = { a: make('a'), b: make('b'), c: make('c') };
      const both = (one: 'a' | 'b' | 'c', other: 'a' | 'b' | 'c') => (): void => {
        locks[one].lock();
        locks[other].lock();
        locks[other].unlock();
        locks[one].unlock();
      };
      const tasks = [[both('a', 'b'), both('b', 'c')], [both(...second)]];
      return { tasks, invariants: [lockOrder(kernel, ['a', 'b', 'c'])] };
    },
  });
}

describe('lockOrder', () => {
  it.each([false, true])(
    'finds two orders that no schedule brings together (mutexes: %s)',
    (mutex) => {
      expect(explore(ordered(['a', 'b'], mutex)).verdict).toBe('holds');
      expect(explore(ordered(['a', 'c'], mutex)).verdict).toBe('holds');
      expect(explore(ordered(['b', 'a'], mutex))).toMatchObject({
        verdict: 'violated',
        invariant: 'lock-order',
        events: 0,
        message: 'a is taken while b is held, and elsewhere the other way round',
      });
    },
  );

  it('can be replayed, though it takes two schedules; no change is tried', () => {
    // Whoever comes first says which way round the locks are taken: no schedule has both.
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const [a, b] = [kernel.spinLock('a'), kernel.spinLock('b')];
        const first = cell(kernel, 'first');
        const both = (one: typeof a, other: typeof a): void => {
          one.lock();
          other.lock();
          other.unlock();
          one.unlock();
        };
        const body = (order: () => void) => (): void => {
          if (first.exchange(0, 1) === 0) order();
        };
        const tasks = [[body(() => both(a, b))], [body(() => both(b, a))]];
        return { tasks, invariants: [lockOrder(kernel, ['a', 'b'])] };
      },
    });
    const found = explore(scenario, { candidates: ['D-01'] });
    expect(found).toMatchObject({ verdict: 'violated', invariant: 'lock-order' });
    expect(found.explanation).toMatchObject({ attribution: null, tried: null });
    expect(found.trace).toContain('No change was tried: it takes more than one schedule');
    const saved = parseTrace(JSON.stringify(found.saved));
    expect(replay(scenario, saved)).toMatchObject({ outcome: 'violated', reproduced: true });
  });

  it('finds a circle of three', () => {
    expect(explore(ordered(['c', 'a'])).message).toBe(
      'a is taken while c is held, and elsewhere the other way round',
    );
  });

  it('forgets a lock that was given back', () => {
    const scenario = protocol({
      code(kernel) {
        const [a, b] = [kernel.spinLock('a'), kernel.spinLock('b')];
        const inTurn = (one: typeof a, other: typeof a) => (): void => {
          one.lock();
          one.unlock();
          other.lock();
          other.unlock();
        };
        const invariants = [lockOrder(kernel, ['a', 'b'])];
        return { tasks: [[inTurn(a, b)], [inTurn(b, a)]], invariants };
      },
    });
    expect(explore(scenario).verdict).toBe('holds');
  });

  it('refuses a lock that the kernel does not have', () => {
    expect(() => lockOrder(smallKernel(), ['a'])).toThrow(ExploreError);
  });

  it('says the same with ample sets', () => {
    for (const second of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      const reduced = explore(ordered(second), { strategy: 'stateful' });
      expect([reduced.reduced, reduced.verdict]).toEqual([true, explore(ordered(second)).verdict]);
    }
  });
});

describe('noSleepingWhileAtomic', () => {
  const scenario = (where: 'task' | 'atomic' | 'handler'): Scenario =>
    protocol({
      budget: { irq: 1 },
      code(kernel) {
        const m = kernel.mutex('m');
        const section = (): void => {
          m.lock();
          m.unlock();
        };
        if (where === 'handler') kernel.entry.requestIrq(0x20, section);
        const body = (): void => {
          if (where === 'atomic') kernel.preempt.disable();
          if (where !== 'handler') section();
          if (where === 'atomic') kernel.preempt.enable();
        };
        return { tasks: [[body]], invariants: [noSleepingWhileAtomic(kernel, ['m'])] };
      },
    });

  it('finds a mutex that is taken with preemption off, though nobody contends', () => {
    expect(explore(scenario('task')).verdict).toBe('holds');
    expect(explore(scenario('atomic'))).toMatchObject({
      verdict: 'violated',
      events: 0,
      message: 'm is taken in atomic context (task, preempt_count 0x1)',
    });
  });

  it('finds one in a handler', () => {
    expect(explore(scenario('handler'))).toMatchObject({
      verdict: 'violated',
      events: 1,
      message: 'm is taken in atomic context (irq, preempt_count 0x10000)',
    });
  });
});
