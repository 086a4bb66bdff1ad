// SPDX-License-Identifier: MIT
// Keys that are given back, and counts that must not go wrong with their tasks.

import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { PAGE_SIZE } from '@pkslab/x86-cpu';
import type { Bench, SelfTest } from './bench.ts';
import { attachDevice } from './device-rig.ts';
import { bootAllocator } from './programme-of.ts';

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
];
