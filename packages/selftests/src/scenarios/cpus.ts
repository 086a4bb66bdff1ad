// SPDX-License-Identifier: MIT
// Scenarios about CPUs: one that is idle, one that goes and comes back, one that runs under a hypervisor.

import { type Scenario, type Setup, scenario } from '@pkslab/explore';
import { HYPERVISOR_CALLBACK_VECTOR, type RevisionRequest } from '@pkslab/kernel';
import type { FieldDefinition } from '@pkslab/x86-cpu';
import { savesWhileWatched } from '../invariants.ts';
import {
  IRQ_VECTOR,
  legalTasks,
  NO_EVENTS,
  section,
  storeAfterYield,
  storeOnce,
} from './section.ts';
import { type SmallStack, smallStack } from './small-stack.ts';

const backField: FieldDefinition = {
  name: 'scenario.back',
  type: 'bool',
  initial: 0,
  per: 'global',
};

/** Legal tasks, and I14 beside the other rules. */
function watched(stack: SmallStack, ...all: readonly (() => void)[]): Setup {
  const setup = legalTasks(stack, ...all);
  return { ...setup, invariants: [...setup.invariants, savesWhileWatched(stack.kernel)] };
}

/** D-07: an entry out of the idle loop, which RCU does not watch. Legal: interrupts, and sections. */
export const irqInIdle: Scenario = scenario({
  name: 'irq-in-idle',
  title:
    'an interrupt, Xen’s upcall or an NMI arrives at a CPU that may be idle, while a task on the other has a section',
  budget: { ...NO_EVENTS, irq: 1, nmi: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    const setup = watched(stack, storeOnce(stack));
    return { ...setup, vectors: [IRQ_VECTOR, HYPERVISOR_CALLBACK_VECTOR] };
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

/** D-48: what is enabled before what it needs. Legal: taking a CPU down and up. */
export const nmiInBringUp: Scenario = scenario({
  name: 'nmi-in-bring-up',
  title: 'a task takes CPU 1 down and up; NMIs come on either CPU, at any step of it',
  // INIT ends the blocking of NMIs, so that another one may come at the end of the first.
  budget: { ...NO_EVENTS, nmi: 2 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    const { hotplug } = stack.kernel;
    return legalTasks(stack, () => {
      hotplug.down(1);
      hotplug.up(1);
    });
  },
});

/**
 * The CPU that goes takes nothing of a section with it. Legal: taking a CPU down and up in a task, and sections: one
 * elsewhere, and one of a task that has to leave the CPU in the midst of it.
 */
export const hotplugBesideSection: Scenario = scenario({
  name: 'hotplug-beside-section',
  title: 'a task takes CPU 1 down and up, while another has to leave that CPU inside its section',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    const { hotplug } = stack.kernel;
    const { open, close } = section(stack);
    const operator = (): void => {
      const address = open();
      stack.kernel.machine.store32(address, 1);
      hotplug.down(1);
      hotplug.up(1);
      close();
    };
    return legalTasks(stack, operator, storeAfterYield(stack));
  },
});

/** D-14: an entry that leaves by another exit. Legal: a preemptible hypercall in a section, and Xen's upcall there. */
export const xenUpcall: Scenario = scenario({
  name: 'xen-upcall',
  title:
    'Xen’s upcall arrives in a preemptible hypercall inside a section, and an NMI at any step of it',
  budget: { ...NO_EVENTS, irq: 1, nmi: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { machine, entry } = stack.kernel;
    const { open, close } = section(stack);
    const setup = watched(stack, () => {
      const address = open();
      entry.preemptibleHypercall.write(1);
      machine.store32(address, 1);
      entry.preemptibleHypercall.write(0);
      close();
    });
    return { ...setup, vectors: [HYPERVISOR_CALLBACK_VECTOR] };
  },
});
