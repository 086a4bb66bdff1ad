// SPDX-License-Identifier: MIT
// Which stray write comes next, and when: dealt from a shuffled deck, so that every kind gets its share.

import type { Prng } from '../prng.ts';
import type { StrayContext } from './kinds.ts';

/** A stray write to come. */
export interface StrayCard {
  readonly context: StrayContext;
  /** Only while the victim holds a window open. */
  readonly whileOpen: boolean;
  /** Boundaries that would do, to be let pass first. */
  gap: number;
}

// Of 20 strays: how many come from each context, and how many of those wait for an open window.
const SHARES: readonly (readonly [StrayContext, number, number])[] = [
  ['interrupt', 4, 2],
  ['nmi', 5, 3],
  ['otherTask', 4, 2],
  ['otherCpu', 4, 2],
  ['sameTask', 3, 3],
];

/** Deals cards for ever; the gap follows the pace that the caller reports. */
export class StrayDeck {
  readonly #random: Prng;
  #cards: StrayCard[] = [];
  /** Mean gap between two strays, in boundaries. */
  #gap = 8;

  constructor(random: Prng) {
    this.#random = random;
  }

  next(): StrayCard {
    if (this.#cards.length === 0) this.#cards = this.#shuffled();
    const card = this.#cards.pop() as StrayCard;
    card.gap = this.#random.below(2 * this.#gap + 1);
    return card;
  }

  /** Shortens the gaps where there were too few strays, lengthens them where there were enough. */
  pace(behind: boolean): void {
    this.#gap = behind ? Math.floor(this.#gap * 0.8) : Math.min(this.#gap + 1, 400);
  }

  #shuffled(): StrayCard[] {
    const cards = SHARES.flatMap(([context, count, open]) =>
      Array.from({ length: count }, (_, i) => ({ context, whileOpen: i < open, gap: 0 })),
    );
    for (let i = cards.length - 1; i > 0; i--) {
      const j = this.#random.below(i + 1);
      const card = cards[i] as StrayCard;
      cards[i] = cards[j] as StrayCard;
      cards[j] = card;
    }
    return cards;
  }
}
