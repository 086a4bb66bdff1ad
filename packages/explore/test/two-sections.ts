// SPDX-License-Identifier: MIT
// Tasks and handlers with sections of their own on two CPUs: much to interleave, little to notice.

import { type FieldDefinition, PerCpu } from '@pkslab/x86-cpu';
import { type Budget, invariant, type Scenario } from '../src/index.ts';
import { cell, endsWith, protocol } from './support.ts';

export const openField: FieldDefinition = {
  name: 'test.open',
  type: 'u32',
  initial: 0,
  per: 'cpu',
};
const countField: FieldDefinition = { name: 'test.count', type: 'u32', initial: 0, per: 'task' };

/** What a test may break of {@link sections}. */
interface Break {
  /** A handler leaves its CPU's register open. */
  readonly leaks?: boolean;
  /** Tasks add to a common sum with a read and a write. */
  readonly torn?: boolean;
}

/** Two tasks with sections of their own, handlers with theirs, and one cell that the tasks share. */
export function sections(budget: Budget, broken: Break = {}, tasks = 2): Scenario {
  return protocol({
    cpus: 2,
    budget,
    code(kernel) {
      const { machine } = kernel;
      const column = machine.column(openField);
      const open = new PerCpu(column);
      const count = machine.column(countField);
      const sum = cell(kernel, 'sum');
      const section = (): void => {
        kernel.preempt.disable();
        const me = kernel.tasks.current;
        count.set(me, count.get(me) + 1);
        open.add(1);
        open.add(-1);
        count.set(me, count.get(me) - 1);
        kernel.preempt.enable();
      };
      kernel.entry.requestIrq(0x20, () => {
        section();
        if (broken.leaks === true) open.write(1);
      });
      kernel.entry.registerNmi(section);
      const body = (): void => {
        section();
        if (broken.torn === true) sum.set(0, sum.get(0) + 1);
        else sum.add(0, 1);
      };
      const closed = invariant({
        id: 'closed',
        text: 'whoever goes back from a handler finds the register as it was',
        looksAt: [],
        preserves: [{ column, index: ({ cpu }) => cpu }],
      });
      return {
        tasks: Array.from({ length: tasks }, () => [body]),
        invariants: [closed, endsWith(sum, tasks)],
      };
    },
  });
}
