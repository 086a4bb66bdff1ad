// SPDX-License-Identifier: MIT
// I9, I10 and I13: keys, the mappings that carry them, and the static branch.

import { type Invariant, invariant } from '@pkslab/explore';
import { type Kernel, TaskState } from '@pkslab/kernel';
import { memremap, PGMAP_PROT_ENABLED } from '@pkslab/memremap';
import { PKS_NUM_KEYS, pksCore } from '@pkslab/pks-core';
import { type Column, formatAddress, PAGE_SIZE } from '@pkslab/x86-cpu';
import { type KeyedLeaf, keyedLeaves } from './keyed-leaves.ts';
import { cellsOf, type Rights, rightsOf } from './rights.ts';

/** A range of addresses that was mapped with a key. */
export interface Domain {
  readonly address: number;
  readonly size: number;
  readonly key: number;
}

/** Keys nobody has, by the allocation map: the AD bit of each. */
function freeKeys(map: number): number {
  let bits = 0;
  for (let key = 1; key < PKS_NUM_KEYS; key++) {
    if (((map >>> key) & 1) === 0) bits |= 1 << (key * 2);
  }
  return bits >>> 0;
}

/** The lowest of the keys whose AD bits are `free` that is open in `value`; 0 if there is none. */
function strayKey(value: number, free: number): number {
  const open = free & ~value;
  if (open === 0) return 0;
  let key = 1;
  while (((open >>> (key * 2)) & 1) === 0) key++;
  return key;
}

/** AD bits of the keys that nobody has: constant where keys are static. */
function freeKeysOf(kernel: Kernel): () => number {
  const { keys } = kernel.module(pksCore);
  if (keys.isStatic) {
    let taken = 0;
    for (let key = 0; key < PKS_NUM_KEYS; key++) if (keys.isAllocated(key)) taken |= 1 << key;
    const free = freeKeys(taken);
    return () => free;
  }
  const { values: map } = cellsOf(kernel, 'pks_key_allocation_map');
  const freeOf = new Map<number, number>();
  return () => {
    const taken = map[0] as number;
    let free = freeOf.get(taken);
    if (free === undefined) {
      free = freeKeys(taken);
      freeOf.set(taken, free);
    }
    return free;
  };
}

/** pks_key_allocation_map, where there is one. */
function allocationMap(kernel: Kernel): Column[] {
  const { isStatic } = kernel.module(pksCore).keys;
  return isStatic ? [] : [cellsOf(kernel, 'pks_key_allocation_map')];
}

/** A key that was free a step ago and is open somewhere; which were free is kept in a cell. */
function freshKeyCheck(kernel: Kernel, rights: Rights, free: () => number): () => string | null {
  const field = { name: 'explore.free_keys', type: 'u32', initial: 0, per: 'global' } as const;
  const before = kernel.machine.column(field);
  before.values[0] = free();
  return () => {
    const was = before.values[0] as number;
    const now = free();
    if (was === now) return null;
    before.poke(0, now);
    return openSomewhere(kernel, rights, (was & ~now) >>> 0);
  };
}

/** Where one of the keys whose AD bits are `fresh` is open. */
function openSomewhere({ machine, tasks }: Kernel, rights: Rights, fresh: number): string | null {
  for (const { index } of machine.cpus) {
    const key = strayKey(rights.msr(index), fresh);
    if (key > 0) return `key ${key} is newly allocated, and open on CPU ${index}`;
  }
  for (const [task, state] of tasks.state.values.entries()) {
    if (state !== TaskState.running && state !== TaskState.sleeping) continue;
    const key = strayKey(rights.saved(task), fresh);
    if (key > 0) return `key ${key} is newly allocated, and open in task ${task}`;
  }
  return null;
}

/** The other half of I9, for scenarios in which keys are allocated: it looks at every task. */
export function freshKeysAreClosed(kernel: Kernel): Invariant {
  const rights = rightsOf(kernel);
  const check = freshKeyCheck(kernel, rights, freeKeysOf(kernel));
  return invariant({
    id: 'I9',
    text: 'a newly allocated key is access-disabled in every task and on every CPU',
    boundary: check,
  });
}

export function freeKeysAreClosed(kernel: Kernel, rights: Rights): Invariant {
  const free = freeKeysOf(kernel);
  const { msr, saved } = rights.columns;
  return invariant({
    id: 'I9',
    text: 'an unallocated key is access-disabled in every task and on every CPU, and in no PTE',
    looksAt: [msr, saved, ...allocationMap(kernel)],
    boundary(view) {
      const msr = strayKey(rights.msr(view.cpu), free());
      if (msr > 0) return `CPU ${view.cpu}: key ${msr} is free, and open in MSR`;
      const saved = strayKey(rights.saved(view.task), free());
      return saved === 0 ? null : `task ${view.task}: key ${saved} is free, and open in saved_pkrs`;
    },
    end() {
      const stray = keyedLeaves(kernel).find(({ key }) => ((free() >>> (key * 2)) & 1) === 1);
      if (stray === undefined) return null;
      return `key ${stray.key} is free, and the page at ${formatAddress(stray.address)} carries it`;
    },
  });
}

/** Whether page map n is live and protected, from memremap's own cells. */
function liveMap(kernel: Kernel): (id: number) => boolean {
  const flags = cellsOf(kernel, 'dev_pagemap.flags').values;
  const keys = cellsOf(kernel, 'dev_pagemap.pkey').values;
  return (id) => keys[id] !== 0 && ((flags[id] as number) & PGMAP_PROT_ENABLED) !== 0;
}

/** Live page maps with protection. */
function protectedMaps(kernel: Kernel): () => Domain[] {
  const start = cellsOf(kernel, 'dev_pagemap.start_pfn').values;
  const end = cellsOf(kernel, 'dev_pagemap.end_pfn').values;
  const keys = cellsOf(kernel, 'dev_pagemap.pkey').values;
  const isLive = liveMap(kernel);
  return () => {
    const domains: Domain[] = [];
    for (let id = 0; id < keys.length; id++) {
      if (!isLive(id)) continue;
      const key = keys[id] as number;
      const first = start[id] as number;
      const size = ((end[id] as number) - first) * PAGE_SIZE;
      domains.push({ address: kernel.mm.directAddress(first * PAGE_SIZE), size, key });
    }
    return domains;
  };
}

export function branchMatchesMaps(kernel: Kernel): Invariant {
  const { branch } = kernel.module(memremap).access;
  const isLive = liveMap(kernel);
  const slots = cellsOf(kernel, 'dev_pagemap.pkey').values.length;
  const count = (): number => branch.count.values[0] as number;
  const maps = (): number => {
    let live = 0;
    for (let id = 0; id < slots; id++) if (isLive(id)) live++;
    return live;
  };
  return invariant({
    id: 'I10',
    text: 'the static branch counts live protected page maps, and is on on every CPU before one is attached',
    looksAt: [
      branch.count,
      cellsOf(kernel, 'dev_pagemap.flags'),
      cellsOf(kernel, 'dev_pagemap.pkey'),
    ],
    looksAtAll: [branch.text],
    boundary() {
      const live = maps();
      if (live === 0) return null;
      if (count() < live)
        return `${live} protected page maps, and the static branch counts ${count()}`;
      const off = branch.text.values.indexOf(0);
      return off < 0 ? null : `a protected page map is attached, and the code of CPU ${off} is off`;
    },
    end() {
      const live = maps();
      if (count() === live) return null;
      return `${live} protected page maps, and the static branch counts ${count()}`;
    },
  });
}

/** @param areas further domains: what the scenario itself mapped with a key and has not unmapped */
export function mappingsCarryTheirKey(
  kernel: Kernel,
  areas: () => readonly Domain[] = () => [],
): Invariant {
  const maps = protectedMaps(kernel);
  const lacks = ({ address, size, key }: Domain): boolean =>
    kernel.mm.lookup(address).key !== key || kernel.mm.lookup(address + size - 1).key !== key;
  const isIn = (leaf: KeyedLeaf, { address, size, key }: Domain): boolean =>
    key === leaf.key && leaf.address >= address && leaf.address < address + size;
  return invariant({
    id: 'I13',
    text: 'a PTE carries a key exactly where its mapping was requested with it',
    end() {
      const domains = [...maps(), ...areas()];
      const bare = domains.find(lacks);
      if (bare !== undefined) {
        return `the mapping at ${formatAddress(bare.address)} was requested with key ${bare.key}, and does not carry it`;
      }
      const stray = keyedLeaves(kernel).find((leaf) => !domains.some((one) => isIn(leaf, one)));
      if (stray === undefined) return null;
      return `the page at ${formatAddress(stray.address)} carries key ${stray.key}, and no live mapping was requested with it`;
    },
  });
}
