// SPDX-License-Identifier: MIT
// Which scenario of the catalogue notices a sabotage of the reference first.

import { type Exploration, explore } from '@pkslab/explore';
import { scenarios } from '../src/index.ts';

/** What the catalogue finds, in its default budgets; null if the sabotage survives it. */
export function firstFind(sabotage: string): Exploration | null {
  for (const scenario of scenarios) {
    const found = explore(scenario, { sabotages: [sabotage] });
    if (found.verdict === 'violated') return found;
  }
  return null;
}
