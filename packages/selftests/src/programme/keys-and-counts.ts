// SPDX-License-Identifier: MIT
// Keys that are given back, and counts that must not go wrong with their tasks.

import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { FAULTABLE, FIXED_UP, type FieldDefinition, Op, PAGE_SIZE } from '@pkslab/x86-cpu';
import type { Bench, SelfTest } from './bench.ts';
import { attachDevice } from './device-rig.ts';
import { bootAllocator } from './programme-of.ts';

/** Memory that everybody may store to, and a user address. */
const ORDINARY = 0x10_0000;
const USER_BUFFER = 0x1000;
/** Whether a task reached the page of a key's next owner; before that, the page's address. */
const secretField: FieldDefinition = {
  name: 'selftest.secret',
  type: 'address',
  initial: 0,
  per: 'global',
};
const REFUSED = 1;
const REACHED = 2;

function childCount(bench: Bench): void {
  const kernel = bench.boot();
  attachDevice(kernel);
  const { access } = kernel.module(memremap);
  const child = kernel.call(() => {
    access.enable();
    const task = kernel.spawn('child', () => {});
    access.disable();
    return task;
  });
  bench.equal('the count of a child', access.ref.values[child] as number, 0);
}

function surplusDisable(bench: Bench): void {
  const kernel = bench.boot();
  attachDevice(kernel);
  const { access } = kernel.module(memremap);
  const count = kernel.call(() => {
    access.disable();
    return access.ref.get(kernel.tasks.current);
  });
  bench.equal('the count after one disable too many', count, 0);
}

function mappedKey(bench: Bench): void {
  const kernel = bootAllocator(bench);
  const { keys } = kernel.module(pksCore);
  const key = kernel.call(() => keys.alloc('mapped'));
  kernel.call(() => kernel.mm.vmalloc(PAGE_SIZE, { key, writable: true }));
  kernel.call(() => keys.free(key, 'mapped'));
  const kept = kernel.call(() => keys.showAllocated()).includes(`${key}: mapped`);
  bench.check(kept, 'a key that a page carries is given back');
}

/** A task has a key open and sleeps in a fault, while the key becomes another's. */
function freedInFault(bench: Bench): void {
  const kernel = bootAllocator(bench);
  const { keys, pkrs } = kernel.module(pksCore);
  const { machine, mm } = kernel;
  const key = kernel.call(() => keys.alloc('first'));
  const secret = machine.column(secretField);
  kernel.spawn('careless', () => {
    pkrs.updateProtection(key, 0);
    machine.operate(Op.store32 | FAULTABLE, mm.directAddress(ORDINARY), USER_BUFFER, 3, 0);
    secret.set(0, machine.tryLoad32(secret.get(0)) === FIXED_UP ? REFUSED : REACHED);
  });
  kernel.spawn('owner', () => {
    keys.free(key, 'first');
    secret.set(0, mm.vmalloc(PAGE_SIZE, { key: keys.alloc('second'), writable: true }));
  });
  let faulted = false;
  kernel.runner.attach({
    boundary(runner, kind) {
      if ((kind & FAULTABLE) === 0 || faulted) return;
      faulted = true;
      runner.userPageFault(USER_BUFFER, true);
    },
  });
  kernel.run();
  bench.equal(
    'what the task reaches of the next owner of its key',
    secret.values[0] as number,
    REFUSED,
  );
}

export const keyAndCountTests: readonly SelfTest[] = [
  {
    name: 'child-count',
    sentence: 'A task that is created inside a section starts with no section of its own.',
    origin: 'ours',
    run: childCount,
  },
  {
    name: 'surplus-disable',
    sentence: 'One disable too many leaves the count at 0.',
    origin: 'ours',
    run: surplusDisable,
  },
  {
    name: 'mapped-key',
    sentence: 'A key that a page carries is not given back.',
    origin: 'ours',
    run: mappedKey,
  },
  {
    name: 'freed-in-fault',
    sentence: 'A task that sleeps in a fault comes back without the key that was freed meanwhile.',
    origin: 'ours',
    run: freedInFault,
  },
];
