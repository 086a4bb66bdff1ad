// SPDX-License-Identifier: MIT
// Scenarios about a key that changes hands while somebody still has it.

import { type Scenario, type Setup, scenario, type Wish } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import { PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE, type Pks, pksCore } from '@pkslab/pks-core';
import { type Column, FAULTABLE, type FieldDefinition, Op, PAGE_SIZE } from '@pkslab/x86-cpu';
import { probing } from './probes.ts';
import { giveBack, SECOND_CONSUMER, secretOf, setupWith } from './secret.ts';
import { NO_EVENTS, USER_BUFFER } from './section.ts';
import { type SmallStack, smallStack } from './small-stack.ts';

const flagField = (name: string): FieldDefinition => ({
  name: `scenario.${name}`,
  type: 'bool',
  initial: 0,
  per: 'global',
});

const openedField = flagField('opened');
const reusedField = flagField('reused');
const secretField: FieldDefinition = {
  name: 'scenario.secret',
  type: 'address',
  initial: 0,
  per: 'global',
};

/** Memory that everybody may store to. */
const ORDINARY = 0x10_0000;

/** What a caller's bug leaves to be demanded. */
function unlawful(setup: Setup): Setup {
  return { ...setup, invariants: setup.invariants.filter(({ id }) => id !== 'I16') };
}

/** One driver's worker has the key open and does something; meanwhile the key becomes another driver's. */
function keyChangesHands(
  stack: SmallStack,
  meanwhile: (pks: Pks, key: number, reused: Column) => void,
): Setup {
  const { kernel } = stack;
  const pks = kernel.module(pksCore);
  const opened = kernel.machine.column(openedField);
  const reused = kernel.machine.column(reusedField);
  const key = pks.keys.forConsumer('first', 'test');
  const worker = kernel.spawn('worker', () => {
    pks.pkrs.updateProtection(key, 0);
    opened.set(0, 1);
    meanwhile(pks, key, reused);
  });
  const owner = kernel.spawn('owner', () => {
    if (opened.get(0) === 0) kernel.sched.sleepUntil(opened, 0, 1);
    giveBack(pks, key, 'first');
    pks.keys.forConsumer('second', 'test');
    reused.set(0, 1);
  });
  return unlawful(setupWith(stack, [worker, owner], () => []));
}

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
    return keyChangesHands(stack, ({ pkrs }, key, reused) => {
      stack.kernel.sched.sleepUntil(reused, 0, 1);
      pkrs.updateProtection(key, PKEY_DISABLE_ACCESS);
    });
  },
});

/**
 * The same with the worker at work on another CPU: its register must be closed too, which only that CPU can do, and
 * whatever it was in the midst of.
 */
export const keyReuseRunning: Scenario = scenario({
  name: 'key-reuse-running',
  title: 'a key is freed while a task on another CPU has it open and uses it; an NMI arrives',
  budget: { ...NO_EVENTS, nmi: 1 },
  setup(request: RevisionRequest) {
    return keyChangesHands(smallStack(request, 2, SECOND_CONSUMER), ({ pkrs }, key, reused) => {
      pkrs.updateProtection(key, PKEY_DISABLE_WRITE);
      reused.wait(0, 1);
    });
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
    return unlawful(setupWith(stack, [owner], () => [{ address, size: PAGE_SIZE, key }]));
  },
});

/**
 * The same caller's bug where the worker is in a handler meanwhile: what the entry keeps of it must not bring back a
 * key that is another's by then (G).
 */
export const keyReuseInFault: Scenario = scenario({
  name: 'key-reuse-in-fault',
  title:
    'a key is freed and allocated again while a task that has it open sleeps in a fault, or is interrupted',
  budget: { ...NO_EVENTS, pageFault: 1, irq: 1, nmi: 1 },
  cpus: [1, 2],
  setup(request: RevisionRequest, wish?: Wish) {
    const stack = smallStack(request, wish?.cpus, SECOND_CONSUMER);
    const { kernel } = stack;
    const { machine, mm, sched } = kernel;
    const pks = kernel.module(pksCore);
    const opened = machine.column(openedField);
    const secret = machine.column(secretField);
    const probes = probing(kernel);
    const key = pks.keys.forConsumer('first', 'test');
    const worker = kernel.spawn('worker', () => {
      pks.pkrs.updateProtection(key, 0);
      opened.set(0, 1);
      machine.operate(Op.store32 | FAULTABLE, mm.directAddress(ORDINARY), USER_BUFFER, 3, 0);
      const address = secret.get(0);
      if (address !== 0) probes.probe(address);
      pks.pkrs.updateProtection(key, PKEY_DISABLE_ACCESS);
    });
    const owner = kernel.spawn('owner', () => {
      if (opened.get(0) === 0) sched.sleepUntil(opened, 0, 1);
      // Where a key is a constant, nobody else can get it.
      if (pks.keys.isStatic) return;
      giveBack(pks, key, 'first');
      const own = pks.keys.forConsumer('second', 'test');
      secret.set(0, mm.vmalloc(PAGE_SIZE, { key: own, writable: true }));
    });
    const areas = (): { address: number; size: number; key: number }[] => {
      const address = secret.values[0] as number;
      return address === 0 ? [] : [{ address, size: PAGE_SIZE, key: mm.lookup(address).key }];
    };
    return probes.judge(unlawful(setupWith(stack, [worker, owner], areas)));
  },
});
