// SPDX-License-Identifier: MIT
// lookup_address: the leaf that maps an address, read level by level as kernel code does. arch/x86/mm/pat/set_memory.c

import type { Kernel } from '@pkslab/kernel';
import {
  CR4_LA57,
  entryFrame,
  entryKey,
  isLeaf,
  PAGE_SIZE,
  PTE_P,
  tableIndex,
} from '@pkslab/x86-cpu';

const LOW_FLAGS = 0xfffn;
const HIGH_FLAGS = 0xfff0_0000_0000_0000n;

/** The flags of the leaf that maps an address, its frame left out; null if none does. */
export function lookupAddress(kernel: Kernel, address: number): bigint | null {
  const { machine, mm } = kernel;
  const page = Math.floor(address / PAGE_SIZE);
  let table = mm.root;
  for (let level = (machine.readCr(4) & CR4_LA57) !== 0 ? 5 : 4; level > 0; level--) {
    const low = machine.readEntry(table + tableIndex(page, level) * 8);
    const high = machine.resultHigh;
    if ((low & PTE_P) === 0) return null;
    if (isLeaf(low, level)) {
      const entry = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
      return entry & (HIGH_FLAGS | LOW_FLAGS);
    }
    table = entryFrame(low, high);
  }
  return null;
}

/** pte_flags_pkey */
export function pteFlagsPkey(flags: bigint): number {
  return entryKey(Number(flags >> 32n));
}

/** The key of the leaf that maps an address, whatever its level; −1 where nothing does. */
export function keyOfAddress(kernel: Kernel, address: number): number {
  const flags = lookupAddress(kernel, address);
  return flags === null ? -1 : pteFlagsPkey(flags);
}
