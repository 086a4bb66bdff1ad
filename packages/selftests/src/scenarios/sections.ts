// SPDX-License-Identifier: MIT
// Scenarios about sections: a task or handler that opens the device key, uses it, and closes it.

import { type Budget, type Scenario, type Setup, scenario, type Wish } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import { FAULTABLE, Op } from '@pkslab/x86-cpu';
import { legalCalls, pksInvariants } from '../invariants.ts';
import { type SmallStack, smallStack } from './small-stack.ts';

const NONE: Budget = { irq: 0, nmi: 0, preempt: 0, pageFault: 0 };
const IRQ_VECTOR = 0x20;
/** A user address: touching it may need a page fault first. */
const USER_BUFFER = 0x1000;

/** What most tasks do: map the page, store to it, unmap it. */
function storeOnce(stack: SmallStack): () => void {
  const { kernel, kmap, pfn } = stack;
  return () => {
    const address = kmap.kmap(pfn);
    kernel.machine.store32(address, 1);
    kmap.kunmap(pfn);
  };
}

/** A handler that opens the device for itself. */
function handlerSection(stack: SmallStack): () => void {
  const { kernel, memremap, address } = stack;
  return () => {
    memremap.access.enable();
    kernel.machine.store32(address, 2);
    memremap.access.disable();
  };
}

/** Tasks A, B … with one call each, all of whose calls are legal. */
function setup(stack: SmallStack, calls: readonly (() => void)[]): Setup {
  const { kernel } = stack;
  const tasks = calls.map((call, i) => kernel.spawn(String.fromCharCode(65 + i), call));
  const invariants = [...pksInvariants(kernel, stack), legalCalls()];
  return { kernel, tasks, invariants, vectors: [IRQ_VECTOR] };
}

function withoutLegalCalls(made: Setup): Setup {
  return { ...made, invariants: made.invariants.filter(({ id }) => id !== 'I16') };
}

/** D-01: an interrupt while a task has a page mapped. */
export const irqInSection: Scenario = scenario({
  name: 'irq-in-section',
  title: 'a task maps, stores and unmaps; an interrupt arrives',
  budget: { ...NONE, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    return setup(stack, [storeOnce(stack)]);
  },
});

/** D-03: an NMI while a task has a page mapped. */
export const nmiInSection: Scenario = scenario({
  name: 'nmi-in-section',
  title: 'a task maps, stores and unmaps; an NMI arrives',
  budget: { ...NONE, nmi: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    return setup(stack, [storeOnce(stack)]);
  },
});

/** D-08: the task is preempted while it has a page mapped. */
export const preemptInSection: Scenario = scenario({
  name: 'preempt-in-section',
  title: 'two tasks map, store and unmap; one is preempted',
  budget: { ...NONE, preempt: 1 },
  cpus: [1, 2],
  setup(request: RevisionRequest, wish?: Wish) {
    const stack = smallStack(request, wish?.cpus);
    return setup(stack, [storeOnce(stack), storeOnce(stack)]);
  },
});

/** saved_pkrs over an exception: the handler has a section of its own. */
export const handlerGrants: Scenario = scenario({
  name: 'handler-grants',
  title: 'a task maps, stores and unmaps; an interrupt handler opens and closes the device itself',
  budget: { ...NONE, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    stack.kernel.entry.requestIrq(IRQ_VECTOR, handlerSection(stack));
    return setup(stack, [storeOnce(stack)]);
  },
});

/** D-02: a page fault on user memory that sleeps inside a section. */
export const faultSleeps: Scenario = scenario({
  name: 'fault-sleeps',
  title: 'a task copies from user memory inside its section; the fault sleeps, another task runs',
  budget: { ...NONE, pageFault: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    return setup(stack, [copyFromUser(stack), storeOnce(stack)]);
  },
});

/** copy_from_user straight into the mapped page, as DAX writes do. */
function copyFromUser(stack: SmallStack): () => void {
  const { kernel, kmap, pfn } = stack;
  return () => {
    const address = kmap.kmap(pfn);
    kernel.machine.operate(Op.store32 | FAULTABLE, address, USER_BUFFER, 3, 0);
    kmap.kunmap(pfn);
  };
}

/** Sections nest: the inner one must not close the outer one's. */
export const nestedSections: Scenario = scenario({
  name: 'nested-sections',
  title: 'a task maps the page twice and stores after the inner unmap; an interrupt arrives',
  budget: { ...NONE, irq: 1, nmi: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { kernel, kmap, pfn } = stack;
    return setup(stack, [
      () => {
        const address = kmap.kmap(pfn);
        kmap.kmap(pfn);
        kmap.kunmap(pfn);
        kernel.machine.store32(address, 1);
        kmap.kunmap(pfn);
      },
    ]);
  },
});

/** A stray store by a task that holds nothing, while another has the page mapped. */
export const strayStore: Scenario = scenario({
  name: 'stray-store',
  title: 'a task stores to the device without asking, while another has it mapped',
  budget: { ...NONE, preempt: 2 },
  cpus: [1, 2],
  setup(request: RevisionRequest, wish?: Wish) {
    const stack = smallStack(request, wish?.cpus);
    const { kernel, address } = stack;
    // As copy_to_kernel_nofault: a refusal is an error return.
    const stray = (): void => void kernel.machine.tryStore32(address, 0xbad);
    // The stray is no legal call: a WARN about it is welcome.
    return withoutLegalCalls(setup(stack, [storeOnce(stack), stray]));
  },
});

/** A task forks while it has a page mapped: the child must not start with its parent's rights. */
export const forkInSection: Scenario = scenario({
  name: 'fork-in-section',
  title: 'a task creates another one between map and unmap',
  budget: { ...NONE, preempt: 1, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { kernel, kmap, pfn } = stack;
    return setup(stack, [
      () => {
        kmap.kmap(pfn);
        kernel.spawn('child', () => void kernel.preempt.inAtomic);
        kmap.kunmap(pfn);
      },
    ]);
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
    return setup(stack, [copyFromUser(stack), storeOnce(stack)]);
  },
});
