import { explore } from '@pkslab/explore';
import { expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

const everything = scenarios.find(({ name }) => name === 'everything');

// The last results of these stand in docs/test-long.md.
it.each([
  { irq: 2, nmi: 1, preempt: 2, pageFault: 1 },
  { irq: 1, nmi: 2, preempt: 2, pageFault: 0 },
])('reference holds with more events than the default budget: %o', (budget) => {
  if (everything === undefined) throw new Error('the catalogue has no scenario "everything"');
  const clock = (): number => performance.now() / 1000;
  const result = explore(everything, { budget, maxStates: 200_000_000, clock });
  process.stdout.write(
    `everything ${JSON.stringify(budget)}: ${result.verdict}, ${result.states} states, ${result.executions} schedules, ${result.seconds.toFixed(0)} s\n`,
  );
  expect(result.verdict).toBe('holds');
  expect(result.undelivered).toEqual([]);
});
