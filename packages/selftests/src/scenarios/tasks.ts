// SPDX-License-Identifier: MIT
// Scenarios about tasks that are switched, replaced and wrong.

import { invariant, type Scenario, scenario } from '@pkslab/explore';
import { Mark, type RevisionRequest, TIF_WORK_CTXSW } from '@pkslab/kernel';
import type { FieldDefinition } from '@pkslab/x86-cpu';
import {
  legalTasks,
  NO_EVENTS,
  section,
  storeAfterYield,
  storeOnce,
  unlawfulTasks,
} from './section.ts';
import { smallStack } from './small-stack.ts';

/** D-08 without any event. Legal: schedule() in a section, which dax_read_lock allows. */
export const yieldInSection: Scenario = scenario({
  name: 'yield-in-section',
  title: 'a task gives up its CPU inside its section, another has one of its own',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    return legalTasks(stack, storeAfterYield(stack), storeOnce(stack));
  },
});

/** D-10: an update is preempted between its writes, by tasks that write the same. Legal: sections. */
export const preemptedUpdates: Scenario = scenario({
  name: 'preempted-updates',
  title: 'two tasks open and close sections; each is preempted in the midst of it',
  budget: { ...NO_EVENTS, preempt: 3 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    return legalTasks(stack, storeOnce(stack), storeOnce(stack));
  },
});

/** D-08: the slow path is there, but for some tasks only. Legal: sections, and schedule() in them. */
export const flaggedTask: Scenario = scenario({
  name: 'flagged-task',
  title: 'a task with a TIF work flag and two without give up the CPU inside their sections',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { tasks } = stack.kernel;
    const flagged = (): void => {
      tasks.tif.set(tasks.current, TIF_WORK_CTXSW);
      storeAfterYield(stack)();
    };
    return legalTasks(stack, flagged, storeAfterYield(stack), storeOnce(stack));
  },
});

/**
 * exec between open and close is a caller's bug, so a WARN is welcome; the new program must not have the rights all
 * the same (pks_init_task).
 */
export const execInSection: Scenario = scenario({
  name: 'exec-in-section',
  title:
    'a task that has never closed its section becomes another program, which stores to the device',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { kernel, address } = stack;
    const { open } = section(stack);
    const forgetful = (): void => {
      open();
      kernel.exec('other program');
    };
    const program = (): void => void kernel.machine.tryStore32(address, 0xbad);
    const setup = unlawfulTasks(stack, [forgetful, program], storeOnce(stack));
    // Who never closes has a count at its end.
    return { ...setup, invariants: setup.invariants.filter(({ id }) => id !== 'I6') };
  },
});

/**
 * D-22: one close too many, a caller's bug. It must not cost others, nor the task's later sections: a pair after it
 * opens and closes as ever, and a stray store behind the pair is refused.
 */
export const surplusClose: Scenario = scenario({
  name: 'surplus-close',
  title: 'a task closes once too often; its next section must open and close as ever',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { kernel, memremap, address } = stack;
    return unlawfulTasks(stack, () => {
      memremap.access.disable();
      storeOnce(stack)();
      kernel.machine.tryStore32(address, 0xbad);
    });
  },
});

/** A caller's bug that must be reported: kmap may sleep, and its caller may not. */
export const kmapInAtomic: Scenario = scenario({
  name: 'kmap-in-atomic',
  title: 'a task calls kmap with preemption off, which must be reported',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { kernel, kmap } = stack;
    const reported = kernel.machine.column(reportedField);
    const ordinary = 1;
    const setup = unlawfulTasks(stack, () => {
      kernel.preempt.disable();
      kmap.kmap(ordinary);
      kmap.kunmap(ordinary);
      kernel.preempt.enable();
    });
    const mustBeReported = invariant({
      id: 'sleep',
      text: 'a call that may sleep, from where it must not, is reported',
      mark(_view, id) {
        if (id === Mark.complaint) reported.poke(0, 1);
        return null;
      },
      end: () => (reported.values[0] === 1 ? null : 'kmap in atomic context was not reported'),
    });
    return { ...setup, invariants: [...setup.invariants, mustBeReported] };
  },
});

const reportedField: FieldDefinition = {
  name: 'explore.reported',
  type: 'bool',
  initial: 0,
  per: 'global',
};
