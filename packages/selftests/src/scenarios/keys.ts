// SPDX-License-Identifier: MIT
// Scenarios about keys beside the device's: a second consumer, a key that changes hands, an alias.

import { type Scenario, type Setup, scenario } from '@pkslab/explore';
import type { KernelModule, RevisionRequest } from '@pkslab/kernel';
import { PKEY_DISABLE_ACCESS, type Pks, pksCore, pksTest } from '@pkslab/pks-core';
import { type FieldDefinition, PAGE_SIZE } from '@pkslab/x86-cpu';
import { type Domain, freshKeysAreClosed, legalCalls, pksInvariants } from '../invariants.ts';
import { probing } from './probes.ts';
import { IRQ_VECTOR, NO_EVENTS, section, storeOnce } from './section.ts';
import { type SmallStack, smallStack } from './small-stack.ts';

const flagField = (name: string): FieldDefinition => ({
  name: `scenario.${name}`,
  type: 'bool',
  initial: 0,
  per: 'global',
});

/** Where keys are constants of the source, the second one is the test programme's. */
const SECOND_CONSUMER: readonly KernelModule<unknown>[] = [pksTest];

/** pks_key_free, where there is one. */
function giveBack({ keys }: Pks, key: number, name: string): void {
  if (!keys.isStatic) keys.free(key, name);
}

/** A page of RAM with a key of its own, as a driver with a secret makes it. */
interface Secret {
  readonly pks: Pks;
  readonly key: number;
  readonly address: number;
}

/** A driver that came up at boot: it has a key, and a page that carries it. */
function secretOf({ kernel }: SmallStack, name: string): Secret {
  const pks = kernel.module(pksCore);
  const key = pks.keys.forConsumer(name, 'test');
  const address = kernel.mm.vmalloc(PAGE_SIZE, { key, writable: true });
  return { pks, key, address };
}

function setupWith(
  { kernel, address, size }: SmallStack,
  tasks: readonly number[],
  areas: () => readonly Domain[],
): Setup {
  const invariants = pksInvariants(kernel, { address, size }, areas);
  const all = [...invariants, freshKeysAreClosed(kernel), legalCalls()];
  return { kernel, tasks, invariants: all, vectors: [IRQ_VECTOR] };
}

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

/**
 * A driver gives its key back though its worker has it open: a caller's bug, so a WARN is welcome, and so is a free that
 * is refused. But the worker must not reach what the key's next owner protects (I9).
 */
export const keyReuse: Scenario = scenario({
  name: 'key-reuse',
  title: 'a key is freed while a sleeping task has it open, and another driver allocates it',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 1, SECOND_CONSUMER);
    const { kernel } = stack;
    const pks = kernel.module(pksCore);
    const opened = kernel.machine.column(flagField('opened'));
    const reused = kernel.machine.column(flagField('reused'));
    const key = pks.keys.forConsumer('first', 'test');
    const worker = kernel.spawn('worker', () => {
      pks.pkrs.updateProtection(key, 0);
      opened.set(0, 1);
      kernel.sched.sleepUntil(reused, 0, 1);
      pks.pkrs.updateProtection(key, PKEY_DISABLE_ACCESS);
    });
    const owner = kernel.spawn('owner', () => {
      if (opened.get(0) === 0) kernel.sched.sleepUntil(opened, 0, 1);
      giveBack(pks, key, 'first');
      pks.keys.forConsumer('second', 'test');
      reused.set(0, 1);
    });
    const setup = setupWith(stack, [worker, owner], () => []);
    return { ...setup, invariants: setup.invariants.filter(({ id }) => id !== 'I16') };
  },
});

/**
 * D-33: the key goes, the page that carries it stays. A caller's bug ("unmap pages from the domain before freeing the
 * key"); the page must not become part of the next owner's domain (I9, I13).
 */
export const freedKeyMapped: Scenario = scenario({
  name: 'freed-key-mapped',
  title: 'a driver frees its key and forgets the page that carries it',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 1, SECOND_CONSUMER);
    const { kernel } = stack;
    const { pks, key, address } = secretOf(stack, 'first');
    const owner = kernel.spawn('owner', () => giveBack(pks, key, 'first'));
    const setup = setupWith(stack, [owner], () => [{ address, size: PAGE_SIZE, key }]);
    return { ...setup, invariants: setup.invariants.filter(({ id }) => id !== 'I16') };
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
