import { Mark } from '@pkslab/kernel';
import { PerCpu } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { explore, type Invariant, invariant, type Scenario } from '../src/index.ts';
import { cell, endsWith, lostUpdate, protocol } from './support.ts';
import { openField, sections } from './two-sections.ts';

const PROTECTED = -0x3600_0000_0000;
const CR4_PKS = 1 << 24;
const PKRS = 0x6e1;

/** The same with an invariant that does not say what it looks at. */
function looksAnywhere(scenario: Scenario): Scenario {
  const unknown: Invariant = { id: 'any', text: 'looks anywhere', boundary: () => null };
  return {
    ...scenario,
    setup(request) {
      const setup = scenario.setup(request);
      return { ...setup, invariants: [...setup.invariants, unknown] };
    },
  };
}

/** The verdict of the full search and of the reduced one, which must be the same. */
function verdictOf(scenario: Scenario): string {
  const full = explore(scenario);
  const reduced = explore(scenario, { strategy: 'stateful' });
  expect(reduced.reduced).toBe(true);
  expect([reduced.verdict, reduced.message]).toEqual([full.verdict, full.message]);
  return reduced.verdict;
}

describe('ample sets', () => {
  it('leave out nine of ten states on two CPUs with an interrupt each', () => {
    const scenario = sections({ perCpu: { irq: 1 } });
    const full = explore(looksAnywhere(scenario), { strategy: 'stateful' });
    const reduced = explore(scenario, { strategy: 'stateful' });
    expect([full.reduced, reduced.reduced]).toEqual([false, true]);
    expect([full.verdict, reduced.verdict]).toEqual(['holds', 'holds']);
    expect(full.states / reduced.states).toBeGreaterThan(10);
  });

  it('are not used where an invariant does not say what it looks at', () => {
    const scenario = looksAnywhere(lostUpdate(2));
    expect(explore(scenario, { strategy: 'stateful' })).toMatchObject({
      verdict: 'violated',
      reduced: false,
    });
  });

  it.each([
    ['an interrupt each', { perCpu: { irq: 1 } }],
    ['an interrupt on one of them', { irq: 1 }],
    ['an NMI each', { perCpu: { nmi: 1 } }],
    ['preemptions', { preempt: 2 }],
    ['a migration', { migrate: 1 }],
    ['a machine check each', { perCpu: { machineCheck: 1 } }],
  ] as const)(
    'give the verdict of the full search with %s',
    (_name, budget) => {
      expect(verdictOf(sections(budget))).toBe('holds');
      expect(verdictOf(sections(budget, { torn: true }))).toBe('violated');
      const handlers = 'irq' in budget || ('perCpu' in budget && 'irq' in budget.perCpu);
      if (handlers) expect(verdictOf(sections(budget, { leaks: true }))).toBe('violated');
    },
    60_000,
  );

  it('give it with more tasks than CPUs', () => {
    expect(verdictOf(sections({ preempt: 1 }, {}, 3))).toBe('holds');
    expect(verdictOf(sections({ preempt: 1 }, { torn: true }, 3))).toBe('violated');
  });

  it('see a cell that another CPU writes behind the back of its owner', () => {
    // Task A alone touches its cell until, at its very end, B does.
    const scenario = (meets: boolean): Scenario =>
      protocol({
        cpus: 2,
        code(kernel) {
          const x = cell(kernel, 'x');
          const y = cell(kernel, 'y');
          const a = (): void => {
            for (let i = 1; i <= 5; i++) x.set(0, i);
          };
          const b = (): void => {
            for (let i = 0; i < 5; i++) y.add(0, 1);
            if (meets && x.get(0) === 3) y.set(0, 100);
          };
          return { tasks: [[a], [b]], invariants: [endsWith(y, 5)] };
        },
      });
    expect(verdictOf(scenario(false))).toBe('holds');
    expect(verdictOf(scenario(true))).toBe('violated');
  });

  it('see what an invariant looks at of another CPU', () => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const column = kernel.machine.column(openField);
        const b = (): void => {
          // No operation of CPU 0 touches its cell; its invariant looks at it.
          column.set(0, 2);
          column.set(0, 0);
        };
        const closed = invariant({
          id: 'closed',
          text: 'while x is 1, nobody writes 2',
          looksAt: [column],
          boundary: ({ cpu, windows }) =>
            cpu === 0 && column.values[0] === 2 && windows === 1 ? 'both' : null,
        });
        const a = (): void => {
          kernel.machine.mark(0, 1);
          kernel.machine.wrmsr(0x6e1, 0);
          kernel.machine.mark(0, 0);
          kernel.machine.wrmsr(0x6e1, 0);
        };
        return { tasks: [[a], [b]], invariants: [closed] };
      },
    });
    expect(verdictOf(scenario)).toBe('violated');
  });

  it('do not put a CPU off for ever that goes in no circle', () => {
    // CPU 0 faults for ever, and touches nothing of others; CPU 1 complains at its end.
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const { machine, mm, slots } = kernel;
        machine.writeCr(4, machine.readCr(4) | CR4_PKS);
        machine.wrmsr(PKRS, 0x5555_5554);
        mm.map(PROTECTED, 0x40_0000, 4096, { key: 1, writable: true });
        slots.keyFault.push(() => true);
        const quiet = invariant({
          id: 'quiet',
          text: 'nobody complains',
          looksAt: [],
          mark: (_view, id) => (id === Mark.complaint ? 'a complaint' : null),
        });
        const other = (): void => {
          cell(kernel, 'x').set(0, 1);
          machine.mark(Mark.complaint, 1);
        };
        const faults = (): void => machine.store32(PROTECTED, 1);
        return { tasks: [[faults], [other]], invariants: [quiet] };
      },
    });
    expect(explore(scenario, { strategy: 'stateful', maxStates: 5000 })).toMatchObject({
      reduced: true,
      verdict: 'violated',
      message: 'a complaint',
    });
  });

  it.each([true, false])('know that an IPI may arrive (interrupts off: %s)', (off) => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const { machine } = kernel;
        const x = cell(kernel, 'x');
        kernel.entry.requestIrq(0x30, () => void x.add(0, 10));
        const receiver = (): void => {
          if (off) machine.cli();
          x.set(0, x.get(0) + 1);
          if (off) machine.sti();
        };
        const sender = (): void => machine.sendIpi(1, 0x30);
        return { tasks: [[sender], [receiver]], invariants: [endsWith(x, 11)] };
      },
    });
    expect(verdictOf(scenario)).toBe(off ? 'holds' : 'violated');
  });

  it('know that a task may come to wait, and then preempt', () => {
    // What CPU 0 does concerns nobody, until CPU 1 makes a task that waits for it.
    const scenario = protocol({
      cpus: 2,
      budget: { preempt: 1 },
      code(kernel) {
        const open = new PerCpu(kernel.machine.column(openField));
        const seen = cell(kernel, 'seen');
        const a = (): void => {
          open.add(1);
          open.add(-1);
        };
        const child = (): void => {
          if (open.read() === 1) seen.set(0, 1);
        };
        const b = (): void => void kernel.spawnCode({ name: 'child', calls: [child], cpu: 0 });
        return { tasks: [[a], [b]], invariants: [endsWith(seen, 0)] };
      },
    });
    expect(verdictOf(scenario)).toBe('violated');
  });

  it('know that a CPU may come back, and then a task migrate to it', () => {
    // What CPU 0 does concerns nobody, until CPU 1 takes tasks again.
    const scenario = protocol({
      cpus: 2,
      budget: { migrate: 1 },
      code(kernel) {
        const open = new PerCpu(kernel.machine.column(openField));
        const { active } = kernel.cpus;
        active.poke(0, 0b01);
        const a = (): void => {
          open.add(1);
          open.add(-1);
        };
        const b = (): void => active.set(0, 0b11);
        const balanced = invariant({
          id: 'balanced',
          text: 'a task closes where it has opened',
          end: () => (open.column.values[0] === 0 ? null : 'open'),
        });
        return { tasks: [[a], [b]], invariants: [balanced] };
      },
    });
    expect(verdictOf(scenario)).toBe('violated');
  });

  it('know that a CPU may be taken away before its scheduler looks', () => {
    // CPU 1 ends a task and takes the next one, unless CPU 0 forbids it first.
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const ran = cell(kernel, 'ran', 2);
        const first = (): void => kernel.cpus.active.set(0, 0b01);
        const last = (): void => void ran.add(kernel.cpus.own, 1);
        return { tasks: [[first], [() => {}], [last]], invariants: [endsWith(ran, 1)] };
      },
    });
    expect(verdictOf(scenario)).toBe('violated');
  });
});
