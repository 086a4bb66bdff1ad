// SPDX-License-Identifier: MIT
// Which operation sites were reached, and which events were delivered there.

import { EVENT_KINDS, type EventKind } from './scenario.ts';
import type { Action, System } from './system.ts';
import type { Node } from './trie.ts';

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
  readonly #events: readonly EventKind[];
  readonly #seen = new Set<number>();

  constructor(system: System, events: readonly EventKind[]) {
    this.#system = system;
    this.#events = events;
  }

  /** A state was entered: notes which events could come before the next operation of a CPU. */
  reached(cpu: number): void {
    const node = this.#system.nodeOf(cpu);
    let allowed = this.#allowed[node.site] ?? 0;
    for (const event of this.#events) {
      const bit = 1 << EVENT_KINDS.indexOf(event);
      if ((allowed & bit) === 0 && this.#system.allows(cpu, node, event)) allowed |= bit;
    }
    this.#allowed[node.site] = allowed;
    this.#seen.add(node.site);
  }

  took(action: Action, node: Node): void {
    if (action.event === null) return;
    const bit = 1 << EVENT_KINDS.indexOf(action.event);
    this.#delivered[node.site] = (this.#delivered[node.site] ?? 0) | bit;
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
