// SPDX-License-Identifier: MIT
// Both engines agree: what the explorer finds happens on ordinary calls too.

import { Coverage, ExhaustiveSearch, type Scenario, System } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';
import { inExplorer, onLiveEngine } from './live-replay.ts';

const limits = { maxStates: 100_000, shouldStop: (): boolean => false };

function rfcV2(...repairs: string[]): RevisionRequest {
  return { revision: 'rfc-v2', repairs, sabotages: [], with: {} };
}

function named(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`no scenario ${name}`);
  return found;
}

const violations: readonly (readonly [string, RevisionRequest])[] = [
  ['irq-in-section', rfcV2()],
  ['nmi-in-section', rfcV2('D-01')],
  ['nmi-in-section', rfcV2('D-01', 'D-03')],
  ['preempt-in-section', rfcV2('D-01', 'D-03')],
  ['handler-grants', rfcV2('D-01', 'D-03')],
  ['fault-sleeps', rfcV2('D-01', 'D-03', 'D-08')],
  ['kmap-handover', rfcV2('D-01', 'D-03')],
  ['kmap-handover', rfcV2('D-01', 'D-03', 'D-08', 'D-02')],
  ['nested-sections', rfcV2('D-01')],
  ['stray-store', rfcV2('D-01')],
  ['fork-in-section', rfcV2('D-01')],
  ['everything', rfcV2()],
];

describe('a schedule that the explorer finds', () => {
  it.each(violations)('leads the live engine to the same cells: %s on %o', (name, request) => {
    const scenario = named(name);
    const system = new System(scenario.setup(request));
    const search = new ExhaustiveSearch(system, limits, new Coverage(system));
    const { verdict, violation, schedule } = search.run(scenario.budget);
    expect(verdict).toBe('violated');
    const explored = inExplorer(scenario, request, schedule);
    expect(explored.violation).toEqual(violation);
    const live = onLiveEngine(scenario, request, schedule);
    expect(live.kinds).toEqual(explored.kinds);
    expect(live.cells).toEqual(explored.cells);
  });
});
