import { type FieldDefinition, KIND_MASK, Op, PerCpu } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { Conflicts } from '../src/conflict.ts';
import { explore, type Scenario } from '../src/index.ts';
import { cell, deliver, endsWith, protocol, step, stepTo, systemOf } from './support.ts';

const handledField: FieldDefinition = { name: 'test.handled', type: 'u32', initial: 0, per: 'cpu' };

/** A task that works on a cell of its own, then on one that the handler increments too. */
function shared(atomic: boolean, kind: 'irq' | 'nmi' | 'machineCheck' = 'irq'): Scenario {
  return protocol({
    budget: { [kind]: 1 },
    code(kernel) {
      const own = cell(kernel, 'own');
      const x = cell(kernel, 'x');
      const came = cell(kernel, 'came');
      const handler = (): void => {
        x.add(0, 1);
        came.set(0, 1);
      };
      kernel.entry.requestIrq(0x20, handler);
      kernel.entry.registerNmi(handler);
      const body = (): void => {
        for (let i = 0; i < 20; i++) own.set(0, own.get(0) + 1);
        if (atomic) x.add(0, 1);
        else x.set(0, x.get(0) + 1);
      };
      const sum = {
        id: 'sum',
        text: 'no increment is lost',
        end: () =>
          (x.values[0] as number) < 1 + (came.values[0] as number) ? 'one is lost' : null,
      };
      return { tasks: [[body]], invariants: [sum] };
    },
  });
}

describe("deliver: 'conflict'", () => {
  it.each(['irq', 'nmi', 'machineCheck'] as const)(
    'finds what every %s before every operation finds, in fewer states',
    (kind) => {
      const every = explore(shared(true, kind));
      const few = explore(shared(true, kind), { deliver: 'conflict' });
      expect([every.verdict, few.verdict]).toEqual(['holds', 'holds']);
      expect(few.deliver).toBe('conflict');
      // Although the search is run until it has learnt what the handler touches.
      expect(few.states).toBeLessThan(every.states);
      const found = explore(shared(false, kind), { deliver: 'conflict' });
      expect(found).toMatchObject({ verdict: 'violated', message: 'one is lost', events: 1 });
    },
  );

  it('is the default where the scenario says so', () => {
    const result = explore({ ...shared(true), deliver: 'conflict' });
    expect(result.deliver).toBe('conflict');
  });

  it('is a reduction: a check inside a handler of what no handler touches may see less', () => {
    const scenario = protocol({
      budget: { irq: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        const odd = {
          id: 'odd',
          text: 'no handler runs while x is 1',
          boundary: ({ frame }: { frame: string }) =>
            frame === 'irq' && x.values[0] === 1 ? 'it is 1' : null,
        };
        const body = (): void => {
          for (const value of [1, 2]) x.set(0, value);
        };
        return { tasks: [[body]], invariants: [odd] };
      },
    });
    expect(explore(scenario).verdict).toBe('violated');
    expect(explore(scenario, { deliver: 'conflict' }).verdict).toBe('holds');
  });

  it('leaves out nothing that an invariant says it looks at', () => {
    const scenario = protocol({
      budget: { irq: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        const odd = {
          id: 'odd',
          text: 'no handler runs while x is 1',
          looksAt: [x],
          boundary: ({ frame }: { frame: string }) =>
            frame === 'irq' && x.values[0] === 1 ? 'it is 1' : null,
        };
        const body = (): void => {
          for (const value of [1, 2]) x.set(0, value);
        };
        return { tasks: [[body]], invariants: [odd] };
      },
    });
    expect(explore(scenario, { deliver: 'conflict' })).toMatchObject({ invariant: 'odd' });
  });

  it.each(['wakes', 'reschedules'] as const)(
    'sees what a task sees to which the exit of an interrupt switches: its handler %s',
    (handler) => {
      const scenario = protocol({
        budget: { irq: 1, preempt: handler === 'wakes' ? 1 : 0 },
        code(kernel) {
          const begun = cell(kernel, 'begun');
          const x = cell(kernel, 'x');
          const woken = cell(kernel, 'woken');
          const early = cell(kernel, 'early');
          kernel.entry.requestIrq(0x20, () => {
            if (handler === 'reschedules') kernel.preempt.needResched.write(1);
            else if (begun.get(0) === 1) woken.set(0, 1);
          });
          const sleeper = (): void => {
            if (handler === 'wakes') kernel.sched.sleepUntil(woken, 0, 1);
            if (x.get(0) === 1) early.set(0, 1);
          };
          const waker = (): void => {
            begun.set(0, 1);
            x.set(0, 1);
            x.set(0, 2);
            woken.set(0, 1);
          };
          const tasks = handler === 'wakes' ? [[sleeper], [waker]] : [[waker], [sleeper]];
          return { tasks, invariants: [endsWith(early, 0)] };
        },
      });
      expect(explore(scenario, { deliver: 'every-op' })).toMatchObject({ invariant: 'end' });
      expect(explore(scenario, { deliver: 'conflict' })).toMatchObject({ invariant: 'end' });
    },
  );

  it('sees what another CPU sees between an interrupt and the operation behind it', () => {
    const scenario = protocol({
      cpus: 2,
      budget: { irq: 1 },
      code(kernel) {
        const h = new PerCpu(kernel.machine.column(handledField));
        const x = cell(kernel, 'x');
        const seen = cell(kernel, 'seen');
        kernel.entry.requestIrq(0x20, () => h.write(1));
        // No handler touches x: it is the reader that can tell.
        const reader = (): void => {
          if (h.column.get(0) === 1 && x.get(0) === 0) seen.set(0, 1);
        };
        return { tasks: [[() => x.set(0, 1)], [reader]], invariants: [endsWith(seen, 0)] };
      },
    });
    expect(explore(scenario, { deliver: 'every-op' })).toMatchObject({ events: 1 });
    const found = explore(scenario, { deliver: 'conflict' });
    expect(found).toMatchObject({ verdict: 'violated', invariant: 'end', events: 1 });
  });

  it('lists what it left out among the undelivered', () => {
    const every = explore(shared(true));
    const few = explore(shared(true), { deliver: 'conflict' });
    expect(few.undelivered.length).toBeGreaterThan(every.undelivered.length);
    const left = few.undelivered.filter(({ event }) => event === 'irq');
    expect(left.some(({ site }) => site.startsWith('A '))).toBe(true);
  });
});

describe('Conflicts', () => {
  const scenario = protocol({
    budget: { irq: 2 },
    code(kernel) {
      const read = cell(kernel, 'read');
      const written = cell(kernel, 'written');
      const own = cell(kernel, 'own');
      kernel.entry.requestIrq(0x20, () => written.set(0, read.get(0)));
      const body = (): void => {
        own.set(0, 1);
        read.get(0);
        read.set(0, 1);
        written.get(0);
        kernel.machine.wrmsr(0x6e1, 0);
      };
      return { tasks: [[body]], invariants: [endsWith(own, 1)] };
    },
  });

  it('are known once the handler has run: what it reads if that is changed, what it writes', () => {
    const system = systemOf(scenario);
    const conflicts = new Conflicts(system.kernel, system.tries);
    // What took the task to its first call is known.
    expect([conflicts.learn(), conflicts.learn()]).toEqual([true, false]);
    const answers = (): boolean[] => {
      const found: boolean[] = [];
      const { mark, low, high } = system.undo;
      while ((system.nodeOf(0).kind & KIND_MASK) !== Op.wrmsr) {
        found.push(conflicts.matters(system.nodeOf(0)));
        step(system);
      }
      found.push(conflicts.matters(system.nodeOf(0)));
      system.undo.undo(mark, low, high);
      return found;
    };
    expect(answers()).toEqual([false, false, false, false, true]);
    const { mark, low, high } = system.undo;
    deliver(system, 'irq');
    stepTo(system, Op.iret);
    system.undo.undo(mark, low, high);
    expect(conflicts.learn()).toBe(true);
    expect(answers()).toEqual([false, false, true, true, true]);
    expect(conflicts.learn()).toBe(false);
  });
});
