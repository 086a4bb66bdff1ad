// SPDX-License-Identifier: MIT
// Scenarios about entries that nest: handlers with sections of their own, above each other and above a switch.

import { type Scenario, scenario } from '@pkslab/explore';
import {
  type RevisionRequest,
  SoftirqNumber,
  VECTOR_BREAKPOINT,
  VECTOR_DEBUG,
} from '@pkslab/kernel';
import {
  copyFromUser,
  handlerSection,
  IRQ_VECTOR,
  legalTasks,
  NO_EVENTS,
  storeAfterYield,
  storeOnce,
} from './section.ts';
import { type SmallStack, smallStack } from './small-stack.ts';

/** A stack whose interrupt and NMI handlers have sections. */
function withHandlers(request: RevisionRequest): SmallStack {
  const stack = smallStack(request);
  stack.kernel.entry.requestIrq(IRQ_VECTOR, handlerSection(stack));
  stack.kernel.entry.registerNmi(handlerSection(stack));
  return stack;
}

/** D-04: three contexts on one stack, each with rights of its own. Legal: kmap and dev_access in any context. */
export const nmiInIrq: Scenario = scenario({
  name: 'nmi-in-irq',
  title: 'a task, an interrupt above it and an NMI above that each have a section',
  budget: { ...NO_EVENTS, irq: 1, nmi: 1 },
  setup(request: RevisionRequest) {
    const stack = withHandlers(request);
    return legalTasks(stack, storeOnce(stack));
  },
});

/** D-04 with a fault that sleeps in between. Legal: copy_from_user in a section, a section in an interrupt. */
export const irqInFault: Scenario = scenario({
  name: 'irq-in-fault',
  title:
    'a copy from user memory faults inside a section, an interrupt with a section comes into the fault',
  budget: { ...NO_EVENTS, irq: 1, pageFault: 1 },
  setup(request: RevisionRequest) {
    const stack = withHandlers(request);
    return legalTasks(stack, copyFromUser(stack), storeOnce(stack));
  },
});

/** The switch's own steps are interrupted by what no flag holds back. Legal: schedule() in a section. */
export const nmiInSwitch: Scenario = scenario({
  name: 'nmi-in-switch',
  title:
    'two tasks switch to each other inside their sections; an NMI comes at any step of the switch',
  budget: { ...NO_EVENTS, nmi: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    return legalTasks(stack, storeAfterYield(stack), storeAfterYield(stack));
  },
});

/** The same with an NMI handler that has a section of its own. */
export const nmiGrantsInSwitch: Scenario = scenario({
  name: 'nmi-grants-in-switch',
  title:
    'two tasks switch inside their sections; an NMI with a section comes at any step of the switch',
  budget: { ...NO_EVENTS, nmi: 1 },
  setup(request: RevisionRequest) {
    const stack = withHandlers(request);
    return legalTasks(stack, storeAfterYield(stack), storeAfterYield(stack));
  },
});

/** D-03: a machine check has the entry of an NMI, but comes above one too. Legal: sections. */
export const machineCheckInSection: Scenario = scenario({
  name: 'machine-check-in-section',
  title:
    'a task, an NMI above it and a machine check above that, or the other way round, each have a section',
  // The exit of a machine check lets another NMI into an NMI's.
  budget: { ...NO_EVENTS, machineCheck: 1, nmi: 2 },
  setup(request: RevisionRequest) {
    const stack = withHandlers(request);
    return legalTasks(stack, storeOnce(stack));
  },
});

/** D-03: what else has the entry of an NMI. Legal: sections, in handlers of #DB and #BP too. */
export const debugInSection: Scenario = scenario({
  name: 'debug-in-section',
  title: 'a task maps, stores and unmaps; #DB or #BP arrives, with a section, and an NMI into that',
  budget: { ...NO_EVENTS, irq: 1, nmi: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const vectors = [VECTOR_DEBUG, VECTOR_BREAKPOINT];
    for (const vector of vectors) stack.kernel.entry.requestIrq(vector, handlerSection(stack));
    return { ...legalTasks(stack, storeOnce(stack)), vectors };
  },
});

/** The switch's own steps, and what a task that is switched out in a fault keeps. Legal: as in nmi-in-switch. */
export const machineCheckInSwitch: Scenario = scenario({
  name: 'machine-check-in-switch',
  title:
    'two tasks switch inside their sections; a machine check with a section comes at any step of the switch',
  budget: { ...NO_EVENTS, machineCheck: 1 },
  setup(request: RevisionRequest) {
    const stack = withHandlers(request);
    return legalTasks(stack, storeAfterYield(stack), storeAfterYield(stack));
  },
});

/** What an interrupt leaves for its way out. Legal: a section in a softirq, as a completion has it. */
export const softirqInSection: Scenario = scenario({
  name: 'softirq-in-section',
  title:
    'a task maps, stores and unmaps; an interrupt raises a softirq with a section, another interrupt or an NMI comes into it',
  budget: { ...NO_EVENTS, irq: 2, nmi: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { entry, softirq } = stack.kernel;
    softirq.open(SoftirqNumber.block, handlerSection(stack));
    entry.requestIrq(IRQ_VECTOR, () => softirq.raise(SoftirqNumber.block));
    return legalTasks(stack, storeOnce(stack));
  },
});
