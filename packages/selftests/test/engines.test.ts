// SPDX-License-Identifier: MIT
// Both engines agree: what the explorer finds happens on ordinary calls too.

import { explore, replay, type SavedTrace, type Scenario } from '@pkslab/explore';
import type { RevisionName } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

function named(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`no scenario ${name}`);
  return found;
}

const violations: readonly (readonly [string, RevisionName, readonly string[]])[] = [
  ['irq-in-section', 'rfc-v2', []],
  ['nmi-in-section', 'rfc-v2', ['D-01']],
  ['nmi-in-section', 'rfc-v2', ['D-01', 'D-03']],
  ['nmi-in-section', 'v10', []],
  ['preempt-in-section', 'rfc-v2', ['D-01', 'D-03']],
  ['handler-grants', 'v7', []],
  ['fault-sleeps', 'rfc-v2', ['D-01', 'D-03', 'D-08']],
  ['kmap-handover', 'rfc-v2', ['D-01', 'D-03']],
  ['kmap-handover', 'rfc-v2', ['D-01', 'D-03', 'D-08', 'D-02']],
  ['fork-in-section', 'rfc-v2', ['D-01']],
  ['detach-last', 'rfc-v2', []],
  ['everything', 'rfc-v2', []],
];

describe('a schedule that the explorer finds', () => {
  it.each(violations)(
    'does the same on the live engine: %s on %s, repaired %j',
    (name, revision, repairs) => {
      const scenario = named(name);
      const found = explore(scenario, { revision, repairs, candidates: [] });
      expect(found.verdict).toBe('violated');
      const live = replay(scenario, found.saved as SavedTrace, { engine: 'live' });
      expect(live).toMatchObject({ outcome: 'violated', reproduced: true, engine: 'live' });
    },
  );
});

describe('random schedules', () => {
  it.each(scenarios.map(({ name }) => name))('of %s are the same on both engines', (name) => {
    for (const revision of ['reference', 'rfc-v2', 'v10'] as const) {
      const options = { engine: 'live', strategy: 'random', schedules: 2, candidates: [] } as const;
      // Throws where the engines disagree.
      const { executions } = explore(named(name), { ...options, revision });
      expect(executions).toBeGreaterThanOrEqual(revision === 'reference' ? 2 : 0);
    }
  });
});
