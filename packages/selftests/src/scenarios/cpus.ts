// SPDX-License-Identifier: MIT
// Scenarios about CPUs: one that is idle, one that goes and comes back, one that runs under a hypervisor.

import { type Scenario, scenario } from '@pkslab/explore';
import { HYPERVISOR_CALLBACK_VECTOR, type RevisionRequest } from '@pkslab/kernel';
import type { FieldDefinition } from '@pkslab/x86-cpu';
import { savesWhileWatched } from '../invariants.ts';
import { legalTasks, NO_EVENTS, section, storeOnce } from './section.ts';
import { smallStack } from './small-stack.ts';

const backField: FieldDefinition = {
  name: 'scenario.back',
  type: 'bool',
  initial: 0,
  per: 'global',
};

/** D-07: an entry out of the idle loop, which RCU does not watch. Legal: interrupts, and sections. */
export const irqInIdle: Scenario = scenario({
  name: 'irq-in-idle',
  title: 'an interrupt arrives at a CPU that may be idle, while a task on the other has a section',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    const setup = legalTasks(stack, storeOnce(stack));
    return { ...setup, invariants: [...setup.invariants, savesWhileWatched(stack.kernel)] };
  },
});

/** A CPU comes back with its reset values. Legal: taking a CPU down and up, and sections. */
export const cpuReturns: Scenario = scenario({
  name: 'cpu-returns',
  title: 'a task takes CPU 1 down and up again; then another has a section on either CPU',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    const { hotplug, machine, sched } = stack.kernel;
    const isBack = machine.column(backField);
    const operator = (): void => {
      hotplug.down(1);
      hotplug.up(1);
      isBack.set(0, 1);
    };
    const user = (): void => {
      if (isBack.get(0) === 0) sched.sleepUntil(isBack, 0, 1);
      storeOnce(stack)();
    };
    return legalTasks(stack, operator, user);
  },
});

/** D-14: an entry that leaves by another exit. Legal: a preemptible hypercall in a section, and Xen's upcall there. */
export const xenUpcall: Scenario = scenario({
  name: 'xen-upcall',
  title: 'Xen’s upcall arrives while a task makes a preemptible hypercall inside its section',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { machine, entry } = stack.kernel;
    const { open, close } = section(stack);
    const setup = legalTasks(stack, () => {
      const address = open();
      entry.preemptibleHypercall.write(1);
      machine.store32(address, 1);
      entry.preemptibleHypercall.write(0);
      close();
    });
    return { ...setup, vectors: [HYPERVISOR_CALLBACK_VECTOR] };
  },
});
