import { expect, it } from 'vitest';
import { explore, invariant, type Scenario } from '../src/index.ts';
import { sections } from './two-sections.ts';

/** The same with an invariant that does not say what it looks at: no ample sets. */
function looksAnywhere(scenario: Scenario): Scenario {
  const unknown = invariant({ id: 'any', text: 'looks anywhere', boundary: () => null });
  return {
    ...scenario,
    setup(request) {
      const setup = scenario.setup(request);
      return { ...setup, invariants: [...setup.invariants, unknown] };
    },
  };
}

it('ample sets leave out 19 of 20 states on two CPUs with an interrupt, an NMI and a preemption each', () => {
  const scenario = sections({ perCpu: { irq: 1, nmi: 1, preempt: 1 } });
  const full = explore(looksAnywhere(scenario), { strategy: 'stateful' });
  const reduced = explore(scenario, { strategy: 'stateful' });
  expect([full.reduced, reduced.reduced]).toEqual([false, true]);
  expect([full.verdict, reduced.verdict]).toEqual(['holds', 'holds']);
  const factor = full.states / reduced.states;
  process.stdout.write(
    `ample sets: ${reduced.states} states of ${full.states}, a factor of ${factor.toFixed(0)}\n`,
  );
  expect(factor).toBeGreaterThan(20);
});
