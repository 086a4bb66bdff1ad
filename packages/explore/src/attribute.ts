// SPDX-License-Identifier: MIT
// Attribution: the one repair with which the same events break nothing.

import type { RevisionRequest } from '@pkslab/kernel';
import type { Budget } from './budget.ts';
import { guideOf, openBudget, runGuided } from './guide.ts';
import type { Scenario } from './scenario.ts';
import type { SearchResult } from './search.ts';
import { System } from './system.ts';

/**
 * The first candidate repair under which the schedule's events do no harm; where there is none, the first under
 * which they no longer break the same invariant (a second defect may stand behind the first).
 */
export function attribute(
  scenario: Scenario,
  request: RevisionRequest,
  budget: Budget,
  result: SearchResult,
  candidates: readonly string[] | undefined,
): string | null {
  const original = new System(scenario.setup(request));
  openBudget(original, budget);
  const guide = guideOf(original, result.schedule);
  original.release();
  const known = candidates ?? original.kernel.repairs;
  let partial: string | null = null;
  for (const repair of known) {
    if (request.repairs.includes(repair)) continue;
    const repaired = { ...request, repairs: [...request.repairs, repair] };
    const system = new System(scenario.setup(repaired));
    openBudget(system, budget);
    const end = runGuided(system, guide);
    system.release();
    if (end === 'ended') return repair;
    if (end === 'violated' && system.checker.violation?.invariant !== result.violation?.invariant) {
      partial ??= repair;
    }
  }
  return partial;
}
