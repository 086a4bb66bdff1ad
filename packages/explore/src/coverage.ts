// SPDX-License-Identifier: MIT
// Which operation sites were reached, and which events were delivered there.

import type { Action } from './actions.ts';
import { EVENT_KINDS, type EventKind } from './budget.ts';
import type { Node } from './node.ts';
import type { System } from './system.ts';

/** A site at which an allowed event was never delivered. */
export interface UndeliveredPair {
  readonly site: string;
  readonly event: EventKind;
}

/** Set of a node that was reached. */
const REACHED = 1 << EVENT_KINDS.length;

export class Coverage {
  readonly #system: System;
  /** For each node, events that the machine allowed there and events that were delivered: a bit each. */
  #allowed: Uint16Array = new Uint16Array(1 << 12);
  readonly #delivered: number[] = [];

  constructor(system: System) {
    this.#system = system;
  }

  /** A state was entered: a CPU is at a node, where these kinds of events could come (a bit each). */
  reached({ id }: Node, kinds: number): void {
    if (id >= this.#allowed.length) this.#grow(id);
    (this.#allowed[id] as number) |= kinds | REACHED;
  }

  #grow(id: number): void {
    const old = this.#allowed;
    this.#allowed = new Uint16Array(Math.max(old.length * 2, id + 1));
    this.#allowed.set(old);
  }

  took(action: Action, node: Node): void {
    if (action.event === null) return;
    const bit = 1 << EVENT_KINDS.indexOf(action.event);
    this.#delivered[node.id] = (this.#delivered[node.id] ?? 0) | bit;
  }

  /** For each site that was reached, the events that were allowed and those that were delivered. */
  #bySite(): Map<number, { allowed: number; delivered: number }> {
    const sites = new Map<number, { allowed: number; delivered: number }>();
    const { tries } = this.#system;
    for (const [id, kinds] of this.#allowed.entries()) {
      if (kinds === 0) continue;
      const number = tries.siteOf(tries.nodes[id] as Node);
      const site = sites.get(number) ?? { allowed: 0, delivered: 0 };
      site.allowed |= kinds & ~REACHED;
      site.delivered |= this.#delivered[id] ?? 0;
      sites.set(number, site);
    }
    return sites;
  }

  /** Sites reached, by number. */
  get sites(): ReadonlySet<number> {
    return new Set(this.#bySite().keys());
  }

  get sitesReached(): readonly string[] {
    return [...this.sites].map((site) => this.#system.tries.sites.nameOf(site)).sort();
  }

  get undelivered(): readonly UndeliveredPair[] {
    const pairs: UndeliveredPair[] = [];
    for (const [site, { allowed, delivered }] of this.#bySite()) {
      const missing = allowed & ~delivered;
      for (const [i, event] of EVENT_KINDS.entries()) {
        if ((missing & (1 << i)) === 0) continue;
        pairs.push({ site: this.#system.tries.sites.nameOf(site), event });
      }
    }
    return pairs;
  }
}
