import { type FieldDefinition, Op, PerCpu } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { explore, invariant, type Scenario, type System } from '../src/index.ts';
import { cell, deliver, endsWith, NONE, protocol, step, stepTo, systemOf } from './support.ts';

function kinds(system: System, cpu = 0): (string | null)[] {
  const actions = system.enabled.actions().filter((action) => action.cpu === cpu);
  return actions.map(({ event }) => event);
}

/** A task that increments a cell with interrupts off, and a handler that increments it too. */
function increments(budget: Scenario['budget']): Scenario {
  return protocol({
    budget,
    code(kernel) {
      const x = cell(kernel, 'x');
      const handled = cell(kernel, 'handled');
      // NMIs and machine checks share their handlers.
      kernel.entry.registerNmi(() => {
        handled.set(0, 1);
        x.add(0, 1);
      });
      const body = (): void => {
        kernel.machine.cli();
        x.set(0, x.get(0) + 1);
        kernel.machine.sti();
      };
      const end = {
        id: 'sum',
        text: 'no increment is lost',
        end: () => (x.values[0] === 1 + (handled.values[0] as number) ? null : 'one is lost'),
      };
      return { tasks: [[body]], invariants: [end] };
    },
  });
}

describe('a machine check', () => {
  it('comes whatever IF is, and between any two operations', () => {
    expect(explore(increments({ machineCheck: 1 }))).toMatchObject({
      verdict: 'violated',
      message: 'one is lost',
      events: 1,
    });
    expect(explore(increments({ irq: 1 })).verdict).toBe('holds');
  });

  it('comes above an NMI, and an NMI above it, but not above another machine check', () => {
    const system = systemOf(increments({ nmi: 1, machineCheck: 3 }));
    deliver(system, 'nmi');
    expect(kinds(system)).toEqual(['machineCheck', null]);
    deliver(system, 'machineCheck');
    expect(kinds(system)).toEqual([null]);
    const other = systemOf(increments({ nmi: 1, machineCheck: 3 }));
    deliver(other, 'machineCheck');
    expect(kinds(other)).toEqual(['nmi', null]);
    stepTo(other, Op.cli);
    expect(kinds(other)).toContain('machineCheck');
  });

  it('stands in the trace', () => {
    const found = explore(increments({ machineCheck: 1 }));
    expect(found.trace).toContain('>>> machine check');
  });
});

const cpuField: FieldDefinition = { name: 'test.ranOn', type: 'u32', initial: 0, per: 'cpu' };

/** One task on the first of three CPUs; the others have come to their halt. */
function idleSystem(): System {
  const scenario = protocol({
    cpus: 3,
    budget: { migrate: 1 },
    code: () => ({ tasks: [[() => {}]] }),
  });
  const system = systemOf(scenario);
  for (const cpu of [1, 2]) while (kinds(system, cpu).length > 0) step(system, cpu);
  return system;
}

/** A task that counts twice where it is; the two counts belong to one CPU. */
function countsTwice(options: { atomic: boolean; bound?: boolean; budget?: object }): Scenario {
  return protocol({
    cpus: 2,
    budget: options.budget ?? { migrate: 1 },
    code(kernel) {
      const column = kernel.machine.column(cpuField);
      const ran = new PerCpu(column);
      const body = (): void => {
        if (options.atomic) kernel.preempt.disable();
        ran.add(1);
        ran.add(1);
        if (options.atomic) kernel.preempt.enable();
      };
      if (options.bound === true) kernel.spawnCode({ name: 'bound', calls: [body], cpu: 0 });
      const end = {
        id: 'one CPU',
        text: 'both counts are of one CPU',
        end: () => (column.values[0] === 1 ? 'one on each' : null),
      };
      return { tasks: options.bound === true ? [] : [[body]], invariants: [end] };
    },
  });
}

describe('a migration', () => {
  it('takes the running task to another CPU, wherever it may be preempted', () => {
    expect(explore(countsTwice({ atomic: false }))).toMatchObject({
      verdict: 'violated',
      events: 1,
      message: 'one on each',
    });
    expect(explore(countsTwice({ atomic: true }))).toMatchObject({ verdict: 'holds' });
  });

  it('needs an event: nobody waits, so a preemption does not do it', () => {
    expect(explore(countsTwice({ atomic: false, budget: { preempt: 2 } })).verdict).toBe('holds');
  });

  it('does not move a task that is bound to its CPU', () => {
    expect(explore(countsTwice({ atomic: false, bound: true })).verdict).toBe('holds');
  });

  it('ends only when the CPU that the task leaves has another one as current', () => {
    const scenario = protocol({
      cpus: 2,
      budget: { migrate: 1 },
      code(kernel) {
        const { values } = kernel.tasks.currentTask;
        const apart = invariant({
          id: 'apart',
          text: 'no task is current on two CPUs',
          looksAt: [kernel.tasks.currentTask],
          boundary: () => (values[0] === values[1] ? `task ${values[0]} is` : null),
        });
        return { tasks: [[() => {}], [() => {}]], invariants: [apart] };
      },
    });
    expect(explore(scenario)).toMatchObject({ verdict: 'holds', message: null });
  });

  it('never goes to a CPU that is offline, and a task on its way there goes elsewhere', () => {
    const system = idleSystem();
    const { kernel } = system;
    const moves = (): number[] =>
      system.enabled
        .actions()
        .flatMap(({ event, choice }) => (event === 'migrate' ? [choice] : []));
    expect(moves()).toEqual([1, 2]);
    kernel.cpus.active.poke(0, 0b101);
    expect(moves()).toEqual([2]);
    const task = system.taskOf(0);
    kernel.sched.moveTo(task, 1);
    expect(kernel.tasks.movesTo.values[task]).toBe(0);
    kernel.sched.moveTo(task, 2);
    expect(kernel.sched.allowedOn(task, 0)).toBe(false);
    kernel.cpus.active.poke(0, 0b001);
    expect(kernel.sched.allowedOn(task, 0)).toBe(true);
  });

  it('goes to the CPU that was named, which alone takes the task', () => {
    const system = idleSystem();
    const moves = system.enabled.actions().filter(({ event }) => event === 'migrate');
    expect(moves).toEqual([
      { cpu: 0, event: 'migrate', choice: 1 },
      { cpu: 0, event: 'migrate', choice: 2 },
    ]);
    system.perform(moves[1] as never);
    for (let i = 0; i < 40 && kinds(system, 0).length > 0; i++) step(system, 0);
    expect([kinds(system, 1), kinds(system, 2)]).toEqual([[], [null]]);
  });
});

/** CPU 0 interrupts CPU 1 and waits for the answer, while a task there increments the same cell. */
function answered(options: { atomic: boolean; irqsOff?: boolean }): Scenario {
  return protocol({
    cpus: 2,
    code(kernel) {
      const { machine } = kernel;
      const x = cell(kernel, 'x');
      const done = cell(kernel, 'done');
      kernel.entry.requestIrq(0x30, () => {
        x.add(0, 1);
        done.set(0, 1);
      });
      const sender = (): void => {
        machine.sendIpi(1, 0x30);
        done.wait(0, 1);
      };
      const receiver = (): void => {
        const flags = options.irqsOff === true ? machine.pushfCli() : 1;
        if (options.irqsOff === true) done.wait(0, 1);
        if (options.atomic) x.add(0, 1);
        else x.set(0, x.get(0) + 1);
        if (options.irqsOff === true) machine.popfIf(flags);
      };
      return { tasks: [[sender], [receiver]], invariants: [endsWith(x, 2)] };
    },
  });
}

describe('an IPI', () => {
  it('arrives on its CPU at any boundary that allows it, without a budget', () => {
    expect(explore(answered({ atomic: true }))).toMatchObject({ verdict: 'holds', message: null });
    const found = explore(answered({ atomic: false }));
    expect(found).toMatchObject({ verdict: 'violated', message: 'ends as 1', events: 0 });
    expect(found.trace).toContain('>>> IPI arrives, vector 0x30');
  });

  it('that the other CPU waits for with interrupts off is a deadlock', () => {
    expect(explore(answered({ atomic: true, irqsOff: true }))).toMatchObject({
      verdict: 'violated',
      invariant: 'I16',
      message: expect.stringContaining('deadlock'),
    });
  });

  it('is not forgotten while IF is clear, and arrives once', () => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const x = cell(kernel, 'x');
        kernel.entry.requestIrq(0x30, () => void x.add(0, 1));
        const receiver = (): void => {
          kernel.machine.cli();
          x.get(0);
          kernel.machine.sti();
        };
        const sender = (): void => kernel.machine.sendIpi(1, 0x30);
        return { tasks: [[sender], [receiver]], invariants: [endsWith(x, 1)] };
      },
    });
    expect(explore(scenario)).toMatchObject({ verdict: 'holds', message: null });
  });

  it.each([2, 18])('with vector %i is an NMI or a machine check, whatever IF is', (vector) => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const x = cell(kernel, 'x');
        kernel.entry.registerNmi(() => void x.add(0, 10));
        const receiver = (): void => {
          kernel.machine.cli();
          x.set(0, x.get(0) + 1);
          kernel.machine.sti();
        };
        const sender = (): void => kernel.machine.sendIpi(1, vector);
        return { tasks: [[sender], [receiver]], invariants: [endsWith(x, 11)] };
      },
    });
    expect(explore(scenario)).toMatchObject({ verdict: 'violated', message: 'ends as 1' });
  });
});

describe('a budget for each CPU', () => {
  const scenario = (budget: Scenario['budget']): Scenario =>
    protocol({
      cpus: 2,
      budget,
      code(kernel) {
        const x = cell(kernel, 'x');
        kernel.entry.requestIrq(0x20, () => void x.add(0, 1));
        const limit = (most: number) => ({
          id: 'most',
          text: 'no more events than that',
          end: () => ((x.values[0] as number) < most ? null : `${most} came`),
        });
        return { tasks: [[() => {}], [() => {}]], invariants: [limit(2)] };
      },
    });

  it('lets so many happen on each', () => {
    expect(explore(scenario({ irq: 2 })).verdict).toBe('violated');
    expect(explore(scenario({ perCpu: { irq: 1 } }))).toMatchObject({
      verdict: 'violated',
      events: 2,
      bound: { irq: 2, perCpu: { irq: 1 } },
    });
    const system = systemOf(scenario({ perCpu: { irq: 1 } }));
    deliver(system, 'irq');
    stepTo(system, Op.iret);
    step(system);
    expect([kinds(system, 0), kinds(system, 1)]).toEqual([[null], ['irq', null]]);
  });

  it('counts for the machine as well', () => {
    expect(explore(scenario({ ...NONE, irq: 1, perCpu: { irq: 1 } })).verdict).toBe('holds');
  });
});
