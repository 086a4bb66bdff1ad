// What would make a `holds` wrong: each of these once did.

import { type FieldDefinition, PerCpu } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { explore, invariant } from '../src/index.ts';
import { cell, endsWith, protocol } from './support.ts';

const PROTECTED = -0x3600_0000_0000;
const CR4_PKS = 1 << 24;
const PKRS = 0x6e1;

describe('a schedule without an end', () => {
  /** A fault that is declared handled, until a flag says that it can be; the other task sets it. */
  const retrying = (others: boolean) =>
    protocol({
      cpus: others ? 2 : 1,
      budget: {},
      code(kernel) {
        const { machine, mm, slots } = kernel;
        const flag = cell(kernel, 'flag');
        for (const cpu of machine.cpus) {
          machine.cpu = cpu;
          machine.writeCr(4, machine.readCr(4) | CR4_PKS);
          machine.wrmsr(PKRS, 0x5555_5554);
        }
        mm.map(PROTECTED, 0x40_0000, 4096, { key: 1, writable: true });
        slots.keyFault.push(() => {
          if (flag.get(0) === 1) machine.wrmsr(PKRS, 0);
          return true;
        });
        const store = (): void => machine.store32(PROTECTED, 1);
        return { tasks: [[store], ...(others ? [[() => flag.set(0, 1)]] : [])] };
      },
    });

  it('is a violation: a fault that is handled and comes again, for ever', () => {
    const result = explore(retrying(false));
    expect([result.verdict, result.invariant]).toEqual(['violated', 'I15']);
  });

  it('is none where another CPU could end it, though a bound lets none step', () => {
    expect(explore(retrying(true)).verdict).toBe('holds');
    const bounded = explore(retrying(true), { strategy: 'bounded', switches: 0 });
    expect(bounded.verdict).toBe('holds');
  });
});

describe('tasks whose names look like entries', () => {
  it.each(['irq', 'nmi', 'exception', 'start', 'idle'])('%s keeps its own code', (name) => {
    const scenario = protocol({
      budget: { irq: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        // Vector 2 with IF set would be the third call of task 1, by name.
        kernel.entry.requestIrq(2, () => void x.add(0, 100));
        const calls = [() => void x.add(0, 1), () => void x.add(0, 1), () => void x.add(0, 1)];
        kernel.spawn(name, ...calls);
        return { tasks: [], vectors: [2], invariants: [endsWith(x, 3)] };
      },
    });
    // With the interrupt x ends at 103: a search that runs the task's code in its place does not see it.
    expect(explore(scenario).verdict).toBe('violated');
  });
});

const ranField: FieldDefinition = { name: 'test.ran', type: 'u32', initial: 0, per: 'cpu' };

describe('a task bound to a CPU', () => {
  it('is bound by a cell, which undo puts back: another branch of the search frees the slot', () => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const column = kernel.machine.column(ranField);
        const ran = new PerCpu(column);
        const bound = (): void => void ran.add(1);
        // Whoever comes first gives the slot to a task of its kind.
        const spawnFree = (): void => void kernel.spawn('free', () => {});
        const spawnBound = (): void =>
          void kernel.spawnCode({ name: 'bound', calls: [bound], cpu: 1 });
        const check = invariant({
          id: 'bound',
          text: 'the bound task runs on CPU 1 alone',
          end: () => (column.values[0] === 0 ? null : 'it ran on CPU 0'),
        });
        return { tasks: [[spawnFree], [spawnBound]], invariants: [check] };
      },
    });
    expect(explore(scenario, { maxStates: 300_000 }).message).toBe(null);
  });
});
