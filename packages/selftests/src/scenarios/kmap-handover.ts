// SPDX-License-Identifier: MIT
// D-11: the address of a kmap()ed page is handed to another task.

import { type Scenario, scenario } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import type { FieldDefinition } from '@pkslab/x86-cpu';
import { legalCalls, pksInvariants } from '../invariants.ts';
import { probing } from './probes.ts';
import { NO_EVENTS, section } from './section.ts';
import { smallStack } from './small-stack.ts';

const handedField: FieldDefinition = {
  name: 'scenario.handed',
  type: 'bool',
  initial: 0,
  per: 'global',
};
const doneField: FieldDefinition = {
  name: 'scenario.done',
  type: 'bool',
  initial: 0,
  per: 'global',
};

/** Policies under which kmap's address may be handed to another task. */
const GRANTS_TO_HOLDERS: readonly string[] = ['grant', 'global'];

/**
 * A maps a page and waits until B has stored through the address.
 *
 * Where kmap grants to whoever has the address (its old contract), B's store is legal, and a fault breaks
 * I16. Where a mapping is local by contract, B's use is a bug that must be refused, and may be complained of; B's
 * store then has an exception-table entry, and breaks G where it gets through.
 */
export const kmapHandover: Scenario = scenario({
  name: 'kmap-handover',
  title: 'a task maps a page and hands the address to another, which stores through it',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = smallStack(request);
    const { kernel, kmap, pfn, address } = stack;
    const handed = kernel.machine.column(handedField);
    const done = kernel.machine.column(doneField);
    const probes = probing(kernel);
    const legal = GRANTS_TO_HOLDERS.includes(kernel.choice('kmapPolicy'));
    const map = { open: () => kmap.kmap(pfn), close: () => kmap.kunmap(pfn) };
    const { open, close } = legal ? map : section(stack);
    const mapper = kernel.spawn('A', () => {
      open();
      handed.set(0, 1);
      kernel.sched.sleepUntil(done, 0, 1);
      close();
    });
    const user = kernel.spawn('B', () => {
      if (handed.get(0) === 0) kernel.sched.sleepUntil(handed, 0, 1);
      if (legal) kernel.machine.store32(address, 1);
      else probes.probe(address);
      done.set(0, 1);
    });
    const calls = legalCalls(legal ? [mapper, user] : [mapper]);
    const invariants = [...pksInvariants(kernel, stack), calls];
    const setup = { kernel, tasks: [mapper, user], invariants };
    return legal ? setup : probes.judge(setup);
  },
});
