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
  const { root, levels } = kernel.mm;
  collect(kernel.machine.memory, root, levels, 0, (page, key) => {
    found.push({ address: addressOf(page, levels), key });
  });
  return found;
}

/** @param page number of the first page that the table maps, from the bottom of the address space */
function collect(
  memory: PhysicalMemory,
  table: number,
  level: number,
  page: number,
  found: (page: number, key: number) => void,
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
    else if (entryKey(high) !== 0) found(at, entryKey(high));
  }
}

/** The canonical address of a page: the upper half is negative. */
function addressOf(page: number, levels: number): number {
  const half = 2 ** (levels * 9 - 1);
  return (page >= half ? page - 2 * half : page) * PAGE_SIZE;
}
