// SPDX-License-Identifier: MIT
// Where invariants were not checked: the windows of the kernel's code that suspended them.

import { Mark } from '@pkslab/kernel';
import type { Invariant, Window } from './invariant.ts';
import type { System } from './system.ts';

/** A window that suspended an invariant, and at how many of the sites that were reached. */
export interface Suspension {
  readonly invariant: string;
  readonly window: Window;
  readonly sites: number;
}

/** The windows by which a search's invariants were suspended; `sites` as reached. */
export function suspensions(
  system: System,
  invariants: readonly Invariant[],
  sites: ReadonlySet<number>,
): readonly Suspension[] {
  const found: Suspension[] = [];
  for (const check of invariants) {
    for (const window of check.suspendedIn ?? []) {
      const bit = 1 << Mark[window];
      const inside = new Set<number>();
      for (const node of system.tries.nodes) {
        if ((node.windows & bit) !== 0 && sites.has(node.site)) inside.add(node.site);
      }
      if (inside.size > 0) found.push({ invariant: check.id, window, sites: inside.size });
    }
  }
  return found;
}
