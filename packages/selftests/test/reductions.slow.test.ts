// SPDX-License-Identifier: MIT
// What leaves out schedules must not leave out violations: each reduction against the full search.

import { type ExploreOptions, explore } from '@pkslab/explore';
import { describe, expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

/** States beyond which a scenario is too large to be searched in every way. */
const SMALL = 60_000;
/** The stateful search counts those of each attempt: it begins anew where what it took for private is not. */
const ATTEMPTS = 20;

const requests: readonly ExploreOptions[] = [
  {},
  { revision: 'rfc-v2' },
  { revision: 'rfc-v2', repairs: ['D-01', 'D-03'] },
  { revision: 'rfc-v2', repairs: ['D-01', 'D-03', 'D-08', 'D-02', 'D-11'] },
  { sabotages: ['fork-copies-rights'] },
  { sabotages: ['access-gated-by-branch'] },
];

const ways: readonly ExploreOptions[] = [
  { strategy: 'stateful' },
  { deliver: 'conflict' },
  { strategy: 'stateful', deliver: 'conflict' },
];

describe.each(scenarios.map((scenario) => [scenario.name, scenario] as const))(
  '%s',
  (name, scenario) => {
    it('has the same verdict by every reduction as by the full search', () => {
      for (const request of requests) {
        const full = explore(scenario, { ...request, maxStates: SMALL, candidates: [] });
        if (full.verdict === 'incomplete') {
          process.stdout.write(`${name} ${JSON.stringify(request)}: too large to compare\n`);
          continue;
        }
        for (const way of ways) {
          const options = { ...request, ...way, maxStates: ATTEMPTS * SMALL, candidates: [] };
          const reduced = explore(scenario, options);
          expect({ ...request, ...way, verdict: reduced.verdict }).toEqual({
            ...request,
            ...way,
            verdict: full.verdict,
          });
          const crashes = (scenario.budget.powerFail ?? 0) > 0;
          if (crashes) expect(reduced.reduced).not.toBe(true);
          else if (way.strategy === 'stateful' && reduced.reduced !== true) {
            process.stdout.write(
              `${name}: nothing left out: an invariant does not say what it looks at\n`,
            );
          }
        }
      }
    });
  },
);
