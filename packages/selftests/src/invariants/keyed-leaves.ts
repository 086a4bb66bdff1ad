// SPDX-License-Identifier: MIT
// Every leaf of the kernel's page tables that carries a key, read without an operation.

import type { Kernel } from '@pkslab/kernel';
import {
  CHUNK_SIZE,
  entryFrame,
  entryKey,
  isLeaf,
  PAGE_SIZE,
  type PhysicalMemory,
  PTE_P,
} from '@pkslab/x86-cpu';

const ENTRIES = 512;

/** A page with a key other than 0. */
export interface KeyedLeaf {
  readonly address: number;
  readonly key: number;
}

export function keyedLeaves(kernel: Kernel): KeyedLeaf[] {
  const found: KeyedLeaf[] = [];
  collect(kernel.machine.memory, kernel.mm.root, 4, 0, found);
  return found;
}

/** @param page number of the first page that the table maps, from the bottom of the address space */
function collect(
  memory: PhysicalMemory,
  table: number,
  level: number,
  page: number,
  found: KeyedLeaf[],
): void {
  const { words } = memory.chunkAt(table);
  const first = (table % CHUNK_SIZE) / 4;
  const pages = 2 ** ((level - 1) * 9);
  for (let i = 0; i < ENTRIES; i++) {
    const low = words[first + i * 2] as number;
    if ((low & PTE_P) === 0) continue;
    const high = words[first + i * 2 + 1] as number;
    const at = page + i * pages;
    if (!isLeaf(low, level)) collect(memory, entryFrame(low, high), level - 1, at, found);
    else if (entryKey(high) !== 0) found.push({ address: addressOf(at), key: entryKey(high) });
  }
}

/** The canonical address of a page: the upper half is negative. */
function addressOf(page: number): number {
  return (page >= 2 ** 35 ? page - 2 ** 36 : page) * PAGE_SIZE;
}
