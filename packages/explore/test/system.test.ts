import { TaskState } from '@pkslab/kernel';
import { FAULTABLE, Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { explore, invariant, type Scenario } from '../src/index.ts';
import {
  cell,
  deliver,
  endsWith,
  lostUpdate,
  protocol,
  step,
  stepTo,
  systemOf,
} from './support.ts';

const RAM = -0x7780_0000_0000;

describe('an NMI', () => {
  it('comes between any two operations of a task and of a handler', () => {
    const sites = new Set<string>();
    const scenario = protocol({
      budget: { irq: 1, nmi: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        kernel.entry.requestIrq(0x20, () => void x.add(0, 1));
        kernel.entry.registerNmi(() => void x.add(0, 1));
        return { tasks: [[() => void x.add(0, 1)]] };
      },
    });
    const held = explore(scenario);
    expect(held.verdict).toBe('holds');
    // What is left are sites above an NMI, which no other one can interrupt.
    for (const { event } of held.undelivered) sites.add(event);
    expect([...sites]).not.toContain('nmi');
  });

  it('nests above an interrupt, which goes on where it was', () => {
    const scenario = protocol({
      budget: { irq: 1, nmi: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        kernel.entry.requestIrq(0x20, () => {
          x.add(0, 1);
          x.add(0, 1);
        });
        kernel.entry.registerNmi(() => void x.add(0, 10));
        return { tasks: [[() => void x.add(0, 100)]] };
      },
    });
    const system = systemOf(scenario);
    deliver(system, 'irq');
    stepTo(system, Op.add);
    step(system);
    deliver(system, 'nmi');
    stepTo(system, Op.choose);
    expect(system.machine.columns.find(({ field }) => field.name === 'test.x')?.values[0]).toBe(
      112,
    );
  });
});

describe('a page fault', () => {
  it('that sleeps lets another task run before the access goes on', () => {
    const scenario = protocol({
      budget: { pageFault: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        const order = invariant({
          id: 'order',
          text: 'B runs before A stores',
          end: () => (x.values[0] === 21 ? 'B ran first' : null),
        });
        const a = (): void => {
          kernel.machine.operate(Op.load32 | FAULTABLE, RAM, 0, 0, 0);
          x.set(0, x.get(0) * 10 + 1);
        };
        const b = (): void => x.set(0, x.get(0) * 10 + 2);
        return { tasks: [[a], [b]], invariants: [order] };
      },
    });
    expect(explore(scenario)).toMatchObject({ verdict: 'violated', invariant: 'order', events: 1 });
    expect(explore(scenario, { budget: { pageFault: 0 } }).verdict).toBe('holds');
  });
});

describe('two CPUs', () => {
  it('start with a task each', () => {
    const system = systemOf(lostUpdate(2));
    expect(system.nodeOf(0).routine.key).toBe('A:0:2');
    expect(system.nodeOf(1).routine.key).toBe('B:0:3');
    expect(system.enabled.actions().map(({ cpu }) => cpu)).toEqual([0, 1]);
  });

  it('wait for each other’s spinlocks', () => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const lock = kernel.spinLock('lock');
        const x = cell(kernel, 'x');
        const body = (): void => {
          lock.lock();
          x.set(0, x.get(0) + 1);
          lock.unlock();
        };
        return { tasks: [[body], [body]], invariants: [endsWith(x, 2)] };
      },
    });
    const system = systemOf(scenario);
    stepTo(system, Op.lock, 0);
    step(system, 0);
    stepTo(system, Op.lock, 1);
    expect(system.enabled.actions().filter(({ cpu }) => cpu === 1)).toEqual([]);
    expect(explore(scenario).verdict).toBe('holds');
  });
});

describe('the state is all in what can be undone', () => {
  it('the code of a task belongs to the path that created it, not to its slot', () => {
    // Two tasks that create a child each: which child is in which slot depends on who is first.
    const scenario = (wrong: number): Scenario =>
      protocol({
        cpus: 2,
        code(kernel) {
          const sum = cell(kernel, 'sum');
          const parent = (addend: number) => (): void => {
            kernel.spawn(`child of ${addend}`, () => void sum.add(0, addend));
          };
          return { tasks: [[parent(1)], [parent(10)]], invariants: [endsWith(sum, wrong)] };
        },
      });
    expect(explore(scenario(11))).toMatchObject({ verdict: 'holds', message: null });
    expect(explore(scenario(2)).message).toBe('ends as 11');
  });

  it('a slot that is used again runs the code of its new task', () => {
    const scenario = protocol({
      budget: { preempt: 1 },
      code(kernel) {
        const sum = cell(kernel, 'sum');
        const first = (): void => void sum.add(0, 1);
        const parent = (): void => {
          const child = kernel.spawn('first', first);
          if (kernel.tasks.state.get(child) !== TaskState.dead) kernel.sched.schedule();
          kernel.spawn('second', () => void sum.add(0, 10));
        };
        return { tasks: [[parent]], invariants: [endsWith(sum, 11)] };
      },
    });
    expect(explore(scenario)).toMatchObject({ verdict: 'holds', message: null });
  });

  it('bytes that a copyOut brought decide what comes next, on each path', () => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const { machine } = kernel;
        const x = cell(kernel, 'x');
        const y = cell(kernel, 'y');
        const address = RAM + 0x60_0000;
        const reader = (): void => {
          const bytes = new Uint8Array(1);
          machine.copyOut(address, bytes, 0, 1);
          x.set(0, bytes[0] as number);
          bytes[0] = (bytes[0] as number) + 1;
          machine.copyIn(address + 8, bytes, 0, 1);
          y.set(0, machine.load8(address + 8));
        };
        const agree = invariant({
          id: 'agree',
          text: 'what was copied back is one more',
          end: () => (y.values[0] === (x.values[0] as number) + 1 ? null : `${y.values[0]}`),
        });
        return {
          tasks: [[reader], [() => machine.store8(address, 6)]],
          invariants: [agree],
        };
      },
    });
    expect(explore(scenario)).toMatchObject({ verdict: 'holds', message: null });
  });

  it('TLBs never hold what the tables do not say', () => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const { machine } = kernel;
        const x = cell(kernel, 'x');
        const entry = kernel.mm.lookup(RAM).entries[2] as number;
        // The other CPU unmaps and maps again: a load in between faults, on every path.
        const low = (): number => machine.readEntry(entry);
        const b = (): void => {
          const was = low();
          machine.writeEntry(entry, 0, machine.resultHigh);
          x.set(0, 1);
          x.set(0, 0);
          machine.writeEntry(entry, was, 0);
        };
        const a = (): void => {
          machine.tryLoad32(RAM);
          machine.tryLoad32(RAM);
        };
        const faults = invariant({
          id: 'faults',
          text: 'a load while x is 1 faults',
          access: () => (x.values[0] === 1 ? 'went through' : null),
        });
        return { tasks: [[a], [b]], invariants: [faults] };
      },
    });
    expect(explore(scenario)).toMatchObject({ verdict: 'holds', message: null });
  });

  it('reports entries that are nested without end', () => {
    const scenario = protocol({
      code({ entry, machine }) {
        entry.handleGeneralProtection = () => machine.rdmsr(0x999);
        return { tasks: [[() => void machine.rdmsr(0x999)]] };
      },
    });
    expect(explore(scenario)).toMatchObject({
      verdict: 'violated',
      invariant: 'I16',
      message: expect.stringContaining('nested deeper than 8'),
    });
  });

  it('reports a panic', () => {
    const scenario = protocol({
      code: ({ oops }) => ({ tasks: [[() => oops.panic('no way on')]] }),
    });
    expect(explore(scenario)).toMatchObject({
      verdict: 'violated',
      message: 'Kernel panic - not syncing: no way on',
    });
  });
});

describe('ended', () => {
  it('is when every task, however it came to be, is dead', () => {
    const system = systemOf(lostUpdate(1));
    expect(system.ended).toBe(false);
    for (let i = 0; i < 200 && system.enabled.actions().length > 0; i++) step(system);
    expect(system.ended).toBe(true);
  });
});
