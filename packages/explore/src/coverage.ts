// SPDX-License-Identifier: MIT
// Which operation sites were reached, and which events were delivered there.

import type { Action } from './actions.ts';
import type { Node } from './node.ts';
import { EVENT_KINDS, type EventKind } from './scenario.ts';
import type { System } from './system.ts';

/** A site at which an allowed event was never delivered. */
export interface UndeliveredPair {
  readonly site: string;
  readonly event: EventKind;
}

export class Coverage {
  readonly #system: System;
  /** For each site, events that the machine allowed there and events that were delivered: a bit each. */
  readonly #allowed: number[] = [];
  readonly #delivered: number[] = [];
  readonly #seen = new Set<number>();

  constructor(system: System) {
    this.#system = system;
  }

  /** A state was entered: a CPU is at a site, where these kinds of events could come (a bit each). */
  reached(site: number, kinds: number): void {
    const before = this.#allowed[site];
    if (before === undefined) this.#seen.add(site);
    if (before !== kinds) this.#allowed[site] = (before ?? 0) | kinds;
  }

  took(action: Action, node: Node): void {
    if (action.event === null) return;
    const bit = 1 << EVENT_KINDS.indexOf(action.event);
    this.#delivered[node.site] = (this.#delivered[node.site] ?? 0) | bit;
  }

  /** Sites reached, by number. */
  get sites(): ReadonlySet<number> {
    return this.#seen;
  }

  get sitesReached(): readonly string[] {
    return [...this.#seen].map((site) => this.#system.tries.sites[site] ?? '?').sort();
  }

  get undelivered(): readonly UndeliveredPair[] {
    const pairs: UndeliveredPair[] = [];
    for (const site of this.#seen) {
      const missing = (this.#allowed[site] ?? 0) & ~(this.#delivered[site] ?? 0);
      for (const event of EVENT_KINDS) {
        if ((missing & (1 << EVENT_KINDS.indexOf(event))) === 0) continue;
        pairs.push({ site: this.#system.tries.sites[site] ?? '?', event });
      }
    }
    return pairs;
  }
}
