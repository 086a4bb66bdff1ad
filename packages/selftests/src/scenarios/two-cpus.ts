// SPDX-License-Identifier: MIT
// Scenarios of sections on two CPUs.

import { type Scenario, scenario } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import { copyFromUser, legalTasks, NO_EVENTS, storeOnce } from './section.ts';
import { smallStack } from './small-stack.ts';

/** D-12 (i), (ii): each CPU changes rights of its own; a global grant must not mix them up. Legal: sections. */
export const sectionsOnTwoCpus: Scenario = scenario({
  name: 'sections-on-two-cpus',
  title: 'tasks on two CPUs open, store and close at the same time; an interrupt arrives',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    return legalTasks(stack, storeOnce(stack), storeOnce(stack));
  },
});

/** D-02: what a task has open goes with it. Legal: sections, which do not bind their task to a CPU. */
export const migrateInSection: Scenario = scenario({
  name: 'migrate-in-section',
  title: 'a task is moved to the other CPU at any step of its section; an interrupt arrives',
  budget: { ...NO_EVENTS, migrate: 1, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    return legalTasks(stack, storeOnce(stack), storeOnce(stack));
  },
});

/** A move is the exit of an interrupt and a switch, on two CPUs. Legal: as in migrate-in-section. */
export const machineCheckInMigration: Scenario = scenario({
  name: 'machine-check-in-migration',
  title: 'a task is moved to an idle CPU inside its section; a machine check comes on either CPU',
  budget: { ...NO_EVENTS, migrate: 1, machineCheck: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    return legalTasks(stack, storeOnce(stack));
  },
});

/** D-02: a fault sleeps on one CPU and returns on another. Legal: copy_from_user in a section. */
export const faultMigrates: Scenario = scenario({
  name: 'fault-migrates',
  title:
    'a copy from user memory faults and sleeps inside a section; its task may go on on the other CPU',
  budget: { ...NO_EVENTS, pageFault: 1, migrate: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    return legalTasks(stack, copyFromUser(stack), storeOnce(stack));
  },
});

/**
 * D-12: kmap on one CPU, where it opens the key for every task, beside a section on the other. Legal: kmap of a page
 * and a section, wherever the revision lets kmap give access.
 */
export const kmapBesideSection: Scenario = scenario({
  name: 'kmap-beside-section',
  title: 'CPU 0 maps, stores and unmaps with kmap while CPU 1 has a section of its own',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    const { kernel, kmap, pfn } = stack;
    const hasKmap = !['flagged', 'unsupported'].includes(kernel.choice('kmapPolicy'));
    const mapper = (): void => {
      kernel.machine.store32(kmap.kmap(pfn), 1);
      kmap.kunmap(pfn);
    };
    return legalTasks(stack, hasKmap ? mapper : storeOnce(stack), storeOnce(stack));
  },
});

/** D-17, D-18: what bring-up left on each CPU, before anything has switched. Legal: nothing is called. */
export const freshCpus: Scenario = scenario({
  name: 'fresh-cpus',
  title: 'each CPU runs its first task after boot',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    const nothing = (): void => void stack.kernel.preempt.inAtomic;
    return legalTasks(stack, nothing, nothing);
  },
});
