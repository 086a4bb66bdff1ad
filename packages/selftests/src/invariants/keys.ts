// SPDX-License-Identifier: MIT
// I9, I10 and I13: keys, the mappings that carry them, and the static branch.

import { type Invariant, invariant } from '@pkslab/explore';
import type { Kernel } from '@pkslab/kernel';
import { memremap, PGMAP_PROT_ENABLED } from '@pkslab/memremap';
import { PKS_NUM_KEYS } from '@pkslab/pks-core';
import { formatAddress, PAGE_SIZE } from '@pkslab/x86-cpu';
import { type KeyedLeaf, keyedLeaves } from './keyed-leaves.ts';
import { cellsOf, type Rights } from './rights.ts';

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

export function freeKeysAreClosed(kernel: Kernel, rights: Rights): Invariant {
  const taken = cellsOf(kernel, 'pks_key_allocation_map');
  const { values: map } = taken;
  const freeOf = new Map<number, number>();
  const free = (): number => {
    const bits = map[0] as number;
    const known = freeOf.get(bits) ?? freeKeys(bits);
    if (known !== 0 && !freeOf.has(bits)) freeOf.set(bits, known);
    return known;
  };
  return invariant({
    id: 'I9',
    text: 'an unallocated key is access-disabled in every task and on every CPU, and in no PTE',
    looksAt: [rights.columns.msr, rights.columns.saved, taken],
    boundary(view) {
      const msr = strayKey(rights.msr(view.cpu), free());
      if (msr > 0) return `CPU ${view.cpu}: key ${msr} is free, and open in MSR`;
      const saved = strayKey(rights.saved(view.task), free());
      return saved === 0 ? null : `task ${view.task}: key ${saved} is free, and open in saved_pkrs`;
    },
    end() {
      const stray = keyedLeaves(kernel).find(({ key }) => (((map[0] as number) >>> key) & 1) === 0);
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
