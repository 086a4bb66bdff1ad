// SPDX-License-Identifier: MIT
// Spaces that are too large for the gate of each change. The last results stand in docs/test-long.md.

import { type Budget, explore } from '@pkslab/explore';
import { expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

const runs: readonly (readonly [name: string, budget: Budget])[] = [
  ['everything', { irq: 2, nmi: 1, preempt: 2, pageFault: 1 }],
  ['everything', { irq: 1, nmi: 2, preempt: 2, pageFault: 0 }],
  // A machine check in an NMI's exit over a free on the other CPU: the one site of the protocol at which the default
  // budgets try nothing that no flag holds back (coverage.slow.test.ts).
  ['key-reuse-running', { machineCheck: 1 }],
];

it.each(runs)(
  'reference holds with more events than the default budget: %s, %o',
  (name, budget) => {
    const scenario = scenarios.find((one) => one.name === name);
    if (scenario === undefined) throw new Error(`the catalogue has no scenario "${name}"`);
    const clock = (): number => performance.now() / 1000;
    const result = explore(scenario, { budget, maxStates: 200_000_000, clock });
    process.stdout.write(
      `${name} ${JSON.stringify(budget)}: ${result.verdict}, ${result.states} states, ${result.executions} schedules, ${result.seconds.toFixed(0)} s\n`,
    );
    expect(result.verdict).toBe('holds');
    expect(result.undelivered).toEqual([]);
  },
);
