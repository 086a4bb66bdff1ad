// SPDX-License-Identifier: MIT
// Scenarios about keys beside the device's: a second consumer, an alias, two drivers at once.

import { type Scenario, scenario } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import { PKEY_DISABLE_ACCESS, pksCore } from '@pkslab/pks-core';
import { PAGE_SIZE } from '@pkslab/x86-cpu';
import { probing } from './probes.ts';
import { giveBack, SECOND_CONSUMER, secretOf, setupWith } from './secret.ts';
import { IRQ_VECTOR, NO_EVENTS, section, storeOnce } from './section.ts';
import { smallStack } from './small-stack.ts';

/**
 * D-51: two keys, nested. Legal: a section of the device around one of the driver's own key, and the other way round.
 * Each key opens its own mapping and no other.
 */
export const twoKeys: Scenario = scenario({
  name: 'two-keys',
  title: 'sections of two keys nest; each opens its own mapping only; an interrupt arrives',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 1, SECOND_CONSUMER);
    const { kernel } = stack;
    const { machine } = kernel;
    const { open, close } = section(stack);
    const { pks, key, address } = secretOf(stack, 'secret');
    const probes = probing(kernel);
    const task = kernel.spawn('A', () => {
      const device = open();
      probes.probe(address);
      pks.pkrs.updateProtection(key, 0);
      machine.store32(device, 1);
      machine.store32(address, 1);
      close();
      machine.store32(address, 2);
      probes.probe(device);
      pks.pkrs.updateProtection(key, PKEY_DISABLE_ACCESS);
    });
    return probes.judge(setupWith(stack, [task], () => [{ address, size: PAGE_SIZE, key }]));
  },
});

/**
 * D-10: an update of the driver's own, which nobody else keeps interrupts off for, is preempted between its writes by a
 * task that has the same rights. Legal: pks_update_protection with preemption on.
 */
export const preemptedDriver: Scenario = scenario({
  name: 'preempted-driver',
  title: 'two threads of a driver open and close its key; each is preempted in the midst of it',
  budget: { ...NO_EVENTS, preempt: 2 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 1, SECOND_CONSUMER);
    const { pks, key, address } = secretOf(stack, 'secret');
    const { kernel } = stack;
    const thread = (): void => {
      pks.pkrs.updateProtection(key, 0);
      kernel.machine.store32(address, 1);
      pks.pkrs.updateProtection(key, PKEY_DISABLE_ACCESS);
    };
    const tasks = ['A', 'B'].map((name) => kernel.spawn(name, thread));
    return setupWith(stack, tasks, () => [{ address, size: PAGE_SIZE, key }]);
  },
});

/**
 * D-04: the handler's value is neither the task's nor the initial one. Legal: a driver's interrupt handler opens its own
 * key; it must not thereby get what the task has open.
 */
export const handlerSecondKey: Scenario = scenario({
  name: 'handler-second-key',
  title: 'a task has the device open; an interrupt handler opens and closes a key of its own',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 1, SECOND_CONSUMER);
    const { kernel } = stack;
    const { pks, key, address } = secretOf(stack, 'secret');
    kernel.entry.requestIrq(IRQ_VECTOR, () => {
      pks.pkrs.updateProtection(key, 0);
      kernel.machine.store32(address, 1);
      pks.pkrs.updateProtection(key, PKEY_DISABLE_ACCESS);
    });
    const task = kernel.spawn('A', storeOnce(stack));
    return setupWith(stack, [task], () => [{ address, size: PAGE_SIZE, key }]);
  },
});

/** Legal: two drivers come up at once, each with a key of its own, and go again. */
export const allocRace: Scenario = scenario({
  name: 'alloc-race',
  title: 'two CPUs allocate a key, open, close and free it at the same time',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2, SECOND_CONSUMER);
    const { kernel } = stack;
    const pks = kernel.module(pksCore);
    const taken = kernel.machine.column({
      name: 'scenario.owners',
      type: 'u8',
      initial: 0,
      per: 'object',
      count: 16,
    });
    const driver = (name: string) => () => {
      const key = pks.keys.forConsumer(name, 'test');
      if (key < 0) return;
      if (taken.exchange(key, 1) === 1) kernel.oops.warn('a key has two owners');
      pks.pkrs.updateProtection(key, 0);
      pks.pkrs.updateProtection(key, PKEY_DISABLE_ACCESS);
      taken.set(key, 0);
      giveBack(pks, key, name);
    };
    // A static key has one consumer: there is nobody to race with.
    const names = pks.keys.isStatic ? ['first'] : ['first', 'second'];
    const tasks = names.map((name) => kernel.spawn(name, driver(name)));
    return setupWith(stack, tasks, () => []);
  },
});

/**
 * D-56: protection belongs to a mapping, not to a page. Legal: an alias with key 0 is nobody's protected mapping; the
 * one with the key stays refused, and each entry carries what its mapping asked for (I13).
 */
export const alias: Scenario = scenario({
  name: 'alias',
  title: 'a task writes a protected page through an alias of key 0, then directly',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 1, SECOND_CONSUMER);
    const { kernel } = stack;
    const { machine, mm } = kernel;
    const { key, address } = secretOf(stack, 'secret');
    const page = mm.directAddress(mm.lookup(address).frame);
    const probes = probing(kernel);
    const task = kernel.spawn('A', () => {
      machine.store32(page, 1);
      probes.probe(address);
    });
    return probes.judge(setupWith(stack, [task], () => [{ address, size: PAGE_SIZE, key }]));
  },
});
