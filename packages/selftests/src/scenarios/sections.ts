// SPDX-License-Identifier: MIT
// Scenarios about sections: a task or handler that opens the device key, uses it, and closes it.

import { type Scenario, scenario, type Wish } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import {
  copyFromUser,
  handlerSection,
  IRQ_VECTOR,
  legalTasks,
  NO_EVENTS,
  section,
  storeOnce,
  unlawfulTasks,
} from './section.ts';
import { smallStack } from './small-stack.ts';

/** D-01: an interrupt while a task has a page mapped. */
export const irqInSection: Scenario = scenario({
  name: 'irq-in-section',
  title: 'a task maps, stores and unmaps; an interrupt arrives',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    return legalTasks(stack, storeOnce(stack));
  },
});

/** D-03: an NMI while a task has a page mapped. */
export const nmiInSection: Scenario = scenario({
  name: 'nmi-in-section',
  title: 'a task maps, stores and unmaps; an NMI arrives',
  budget: { ...NO_EVENTS, nmi: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    return legalTasks(stack, storeOnce(stack));
  },
});

/** D-08: the task is preempted while it has a page mapped. */
export const preemptInSection: Scenario = scenario({
  name: 'preempt-in-section',
  title: 'two tasks map, store and unmap; one is preempted',
  budget: { ...NO_EVENTS, preempt: 1 },
  cpus: [1, 2],
  setup(request: RevisionRequest, wish?: Wish) {
    const stack = smallStack(request, wish?.cpus);
    return legalTasks(stack, storeOnce(stack), storeOnce(stack));
  },
});

/** saved_pkrs over an exception: the handler has a section of its own. */
export const handlerGrants: Scenario = scenario({
  name: 'handler-grants',
  title: 'a task maps, stores and unmaps; an interrupt handler opens and closes the device itself',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    stack.kernel.entry.requestIrq(IRQ_VECTOR, handlerSection(stack));
    return legalTasks(stack, storeOnce(stack));
  },
});

/** D-02: a page fault on user memory that sleeps inside a section. */
export const faultSleeps: Scenario = scenario({
  name: 'fault-sleeps',
  title: 'a task copies from user memory inside its section; the fault sleeps, another task runs',
  budget: { ...NO_EVENTS, pageFault: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    return legalTasks(stack, copyFromUser(stack), storeOnce(stack));
  },
});

/** Sections nest: the inner one must not close the outer one's. */
export const nestedSections: Scenario = scenario({
  name: 'nested-sections',
  title: 'a task maps the page twice and stores after the inner unmap; an interrupt arrives',
  budget: { ...NO_EVENTS, irq: 1, nmi: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { open, close } = section(stack);
    return legalTasks(stack, () => {
      const address = open();
      open();
      close();
      stack.kernel.machine.store32(address, 1);
      close();
    });
  },
});

/** A stray store by a task that holds nothing, while another has the page mapped. */
export const strayStore: Scenario = scenario({
  name: 'stray-store',
  title: 'a task stores to the device without asking, while another has it mapped',
  budget: { ...NO_EVENTS, preempt: 2 },
  cpus: [1, 2],
  setup(request: RevisionRequest, wish?: Wish) {
    const stack = smallStack(request, wish?.cpus);
    const { kernel, address } = stack;
    // As copy_to_kernel_nofault: a refusal is an error return.
    const stray = (): void => void kernel.machine.tryStore32(address, 0xbad);
    // The stray is no legal call: a WARN about it is welcome.
    return unlawfulTasks(stack, storeOnce(stack), stray);
  },
});

/** A task forks while it has a page mapped: the child must not start with its parent's rights. */
export const forkInSection: Scenario = scenario({
  name: 'fork-in-section',
  title: 'a task creates another one between map and unmap',
  budget: { ...NO_EVENTS, preempt: 1, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { kernel } = stack;
    const { open, close } = section(stack);
    return legalTasks(stack, () => {
      open();
      kernel.spawn('child', () => void kernel.preempt.inAtomic);
      close();
    });
  },
});

/** The child's own sections must work, whatever it was born into. Legal: fork in a section, and sections. */
export const childSection: Scenario = scenario({
  name: 'child-section',
  title: 'a task forks inside its section; the child has a section of its own',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { kernel } = stack;
    const { open, close } = section(stack);
    return legalTasks(stack, () => {
      open();
      kernel.spawn('child', storeOnce(stack));
      close();
    });
  },
});

/** Everything at once: the space in which `reference` must hold. */
export const everything: Scenario = scenario({
  name: 'everything',
  title: 'two tasks with sections, handlers with sections of their own, every kind of event',
  budget: { irq: 1, nmi: 1, preempt: 2, pageFault: 1 },
  cpus: [1, 2],
  setup(request: RevisionRequest, wish?: Wish) {
    const stack = smallStack(request, wish?.cpus);
    stack.kernel.entry.requestIrq(IRQ_VECTOR, handlerSection(stack));
    stack.kernel.entry.registerNmi(handlerSection(stack));
    return legalTasks(stack, copyFromUser(stack), storeOnce(stack));
  },
});
