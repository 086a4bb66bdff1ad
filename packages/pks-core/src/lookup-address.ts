// SPDX-License-Identifier: MIT
// lookup_address and the key in what it finds. arch/x86/mm/pat/set_memory.c

import type { Kernel } from '@pkslab/kernel';
import { entryKey } from '@pkslab/x86-cpu';

const LOW_FLAGS = 0xfffn;
const HIGH_FLAGS = 0xfff0_0000_0000_0000n;

/** The flags of the leaf that maps an address, its frame left out; null if none does. */
export function lookupAddress(kernel: Kernel, address: number): bigint | null {
  const leaf = kernel.mm.leafOf(address);
  if (leaf === null) return null;
  const entry = (BigInt(leaf.high >>> 0) << 32n) | BigInt(leaf.low >>> 0);
  return entry & (HIGH_FLAGS | LOW_FLAGS);
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
