// SPDX-License-Identifier: MIT
// A driver beside the device's, with a key and a page of its own.

import type { Setup } from '@pkslab/explore';
import type { KernelModule } from '@pkslab/kernel';
import { type Pks, pksCore, pksTest } from '@pkslab/pks-core';
import { PAGE_SIZE } from '@pkslab/x86-cpu';
import { type Domain, freshKeysAreClosed, legalCalls, pksInvariants } from '../invariants.ts';
import { IRQ_VECTOR } from './section.ts';
import type { SmallStack } from './small-stack.ts';

/** Where keys are constants of the source, the second one is the test programme's. */
export const SECOND_CONSUMER: readonly KernelModule<unknown>[] = [pksTest];

/** pks_key_free, where there is one. */
export function giveBack({ keys }: Pks, key: number, name: string): void {
  if (!keys.isStatic) keys.free(key, name);
}

/** A page of RAM with a key of its own, as a driver with a secret makes it. */
export interface Secret {
  readonly pks: Pks;
  readonly key: number;
  readonly address: number;
}

/** A driver that came up at boot: it has a key, and a page that carries it. */
export function secretOf({ kernel }: SmallStack, name: string): Secret {
  const pks = kernel.module(pksCore);
  const key = pks.keys.forConsumer(name, 'test');
  const address = kernel.mm.vmalloc(PAGE_SIZE, { key, writable: true });
  return { pks, key, address };
}

/** Legal tasks beside mappings of the scenario's own. */
export function setupWith(
  { kernel, address, size }: SmallStack,
  tasks: readonly number[],
  areas: () => readonly Domain[],
): Setup {
  const invariants = pksInvariants(kernel, { address, size }, areas);
  const all = [...invariants, freshKeysAreClosed(kernel), legalCalls()];
  return { kernel, tasks, invariants: all, vectors: [IRQ_VECTOR] };
}
