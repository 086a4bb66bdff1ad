// SPDX-License-Identifier: MIT
// The rules of protection keys as checks: I1–I16 and G.

import type { Invariant } from '@pkslab/explore';
import type { Kernel } from '@pkslab/kernel';
import {
  cacheMatchesRegister,
  cpuStartsClosed,
  handlerLeavesUnchanged,
  handlerStartsClosed,
  keyZeroIsOpen,
  newTaskStartsClosed,
  registerMatchesSaved,
} from './invariants/copies.ts';
import {
  countMatchesKey,
  handledMeansThrough,
  openByGrantOnly,
  ownGrantNeverFaults,
} from './invariants/grants.ts';
import {
  branchMatchesMaps,
  type Domain,
  freeKeysAreClosed,
  mappingsCarryTheirKey,
} from './invariants/keys.ts';
import { type DeviceRange, rightsOf } from './invariants/rights.ts';

export { legalCalls } from './invariants/calls.ts';
export { flushedIsDurable } from './invariants/durable.ts';
export { savesWhileWatched } from './invariants/entries.ts';
export type { Domain } from './invariants/keys.ts';
export { freshKeysAreClosed } from './invariants/keys.ts';
export type { DeviceRange } from './invariants/rights.ts';

/**
 * I1–I13, I15 and G for a booted kernel with a device key; I14 is {@link savesWhileWatched}, I16 {@link legalCalls}.
 *
 * Call it on a kernel that has just booted: I12 looks at what bring-up left.
 *
 * @param areas what the scenario itself has mapped with a key, beside page maps
 */
export function pksInvariants(
  kernel: Kernel,
  device: DeviceRange,
  areas?: () => readonly Domain[],
): Invariant[] {
  const rights = rightsOf(kernel);
  const grants = openByGrantOnly(rights, device);
  return [
    cpuStartsClosed(kernel, rights),
    cacheMatchesRegister(rights),
    registerMatchesSaved(rights),
    handlerStartsClosed(rights),
    handlerLeavesUnchanged(rights),
    grants.isPrivate,
    countMatchesKey(rights),
    ownGrantNeverFaults(kernel, rights),
    handledMeansThrough(kernel),
    grants.isNeeded,
    newTaskStartsClosed(rights),
    keyZeroIsOpen(rights),
    freeKeysAreClosed(kernel, rights),
    branchMatchesMaps(kernel),
    mappingsCarryTheirKey(kernel, areas),
  ];
}
