// SPDX-License-Identifier: MIT
import { EXTABLE, FAULTABLE, Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import {
  type ExploreOptions,
  explore,
  replay,
  type SavedTrace,
  type Scenario,
} from '../src/index.ts';
import { cell, endsWith, lostUpdate, protocol } from './support.ts';
import { sections } from './two-sections.ts';

const RAM = -0x7780_0000_0000;

/** Random schedules on both engines, which throws where they disagree. */
function both(scenario: Scenario, options: ExploreOptions = {}) {
  return explore(scenario, { engine: 'live', strategy: 'random', schedules: 30, ...options });
}

describe('the live engine', () => {
  it.each([1, 2])('breaks what a saved trace breaks: %i CPU(s)', (cpus) => {
    const scenario = lostUpdate(cpus, { preempt: 2 - cpus });
    const found = explore(scenario);
    const live = replay(scenario, found.saved as SavedTrace, { engine: 'live' });
    expect(live).toMatchObject({ engine: 'live', outcome: 'violated', reproduced: true });
    expect(live.recording.steps).toEqual(found.recording?.steps);
  });

  it.each([
    ['interrupts and NMIs', { irq: 2, nmi: 2 }],
    ['machine checks', { machineCheck: 3 }],
    ['preemptions', { preempt: 3 }],
    ['migrations', { migrate: 3, irq: 1 }],
  ])('agrees on schedules of three tasks on two CPUs with %s', (_name, budget) => {
    const found = both(sections(budget, {}, 3));
    expect(found).toMatchObject({ verdict: 'incomplete', executions: 30, engine: 'live' });
    expect(both(sections(budget, { torn: true }, 3), { schedules: 1000 }).verdict).toBe('violated');
  });

  it('runs a fault whose handler sleeps, and one that its operation’s table entry ends', () => {
    const handled = (extable: boolean): Scenario =>
      protocol({
        budget: { pageFault: 2 },
        code(kernel) {
          const x = cell(kernel, 'x');
          const kind = Op.load32 | FAULTABLE | (extable ? EXTABLE : 0);
          const a = (): void => {
            // With page faults disabled the handler must not sleep.
            if (extable) kernel.preempt.disable();
            x.set(0, kernel.machine.operate(kind, RAM, 0, 0, 0));
            if (extable) kernel.preempt.enable();
          };
          return { tasks: [[a], [() => void x.add(0, 1)]] };
        },
      });
    expect(both(handled(false)).executions).toBe(30);
    expect(both(handled(true)).executions).toBe(30);
  });

  it('lets an IPI arrive where the schedule says', () => {
    const scenario = protocol({
      cpus: 3,
      code(kernel) {
        const x = cell(kernel, 'x');
        kernel.entry.requestIrq(0x30, () => void x.add(0, 1));
        const sender = (): void => {
          for (const cpu of [1, 2]) kernel.machine.sendIpi(cpu, 0x30);
        };
        const receiver = (): void => {
          for (let i = 0; i < 3; i++) x.get(0);
        };
        return { tasks: [[sender], [receiver]], invariants: [endsWith(x, 2)] };
      },
    });
    expect(both(scenario)).toMatchObject({ verdict: 'incomplete', executions: 30 });
  });

  it('takes a CPU away and brings it back', () => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const x = cell(kernel, 'x');
        const a = (): void => {
          kernel.hotplug.down(1);
          kernel.hotplug.up(1);
        };
        return { tasks: [[a], [() => void x.add(0, 1)]], invariants: [endsWith(x, 1)] };
      },
    });
    expect(both(scenario)).toMatchObject({ verdict: 'incomplete', executions: 30 });
  });

  it('says where it does something else', () => {
    let setups = 0;
    // Each setup gives other code: what one engine learns is not what the other runs.
    const scenario: Scenario = {
      ...lostUpdate(1),
      setup(request) {
        const padding = setups++;
        const body = (kernel: Parameters<typeof cell>[0]) => () => {
          for (let i = 0; i < padding; i++) cell(kernel, 'x').add(0, 1);
          cell(kernel, 'x').set(0, 0);
        };
        return protocol({ code: (kernel) => ({ tasks: [[body(kernel)]] }) }).setup(request);
      },
    };
    expect(() => both(scenario)).toThrow(
      /^the engines disagree after \d+ steps: live, CPU 0 does add test.x \(0, 1, 0\), not set test.x \(0, 0, 0\)$/,
    );
  });

  it('says which cell differs', () => {
    let setups = 0;
    const scenario: Scenario = {
      ...lostUpdate(1),
      setup(request) {
        const setup = lostUpdate(1).setup(request);
        cell(setup.kernel, 'other').values[0] = setups++;
        return setup;
      },
    };
    expect(() => both(scenario)).toThrow(/live, test\.other\[0\] is 1, not 0$/);
  });

  it('refuses a strategy that goes back to states', () => {
    expect(() => explore(lostUpdate(1), { engine: 'live' })).toThrow(
      'the live engine runs single schedules, so it cannot do exhaustive',
    );
  });
});
