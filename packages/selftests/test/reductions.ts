// SPDX-License-Identifier: MIT
// What leaves out schedules must not leave out violations: each reduction against the full search. In files of their own,
// so that they run beside each other.

import { type Exploration, type ExploreOptions, explore, type Scenario } from '@pkslab/explore';
import { describe, expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

/** States beyond which a scenario is too large to be searched in every way. */
const SMALL = 60_000;
/** The stateful search counts those of each attempt: it begins anew where what it took for private is not. */
const ATTEMPTS = 20;

type Verdict = Exploration['verdict'];

const ways: readonly ExploreOptions[] = [
  { strategy: 'stateful' },
  { deliver: 'conflict' },
  { strategy: 'stateful', deliver: 'conflict' },
];

/** The tests of some requests. */
export function compareReductions(requests: readonly ExploreOptions[]): void {
  describe.each(scenarios.map((scenario) => [scenario.name, scenario] as const))(
    '%s',
    (_name, scenario) => {
      it.each(requests)(
        'has the same verdict by every reduction as by the full search: %o',
        (request) => {
          const full = explore(scenario, { ...request, maxStates: SMALL, candidates: [] });
          if (full.verdict === 'incomplete')
            print(scenario, `${JSON.stringify(request)}: too large to compare`);
          else for (const way of ways) compare(scenario, { ...request, ...way }, full.verdict);
        },
      );
    },
  );
}

function compare(scenario: Scenario, options: ExploreOptions, verdict: Verdict): void {
  const limits = { maxStates: ATTEMPTS * SMALL, candidates: [] };
  const reduced = explore(scenario, { ...options, ...limits });
  expect(reduced.verdict).toBe(verdict);
  if ((scenario.budget.powerFail ?? 0) > 0) expect(reduced.reduced).not.toBe(true);
  else if (options.strategy === 'stateful' && reduced.reduced !== true) {
    print(scenario, 'nothing left out: an invariant does not say what it looks at');
  }
}

function print({ name }: Scenario, text: string): void {
  process.stdout.write(`${name}: ${text}\n`);
}
