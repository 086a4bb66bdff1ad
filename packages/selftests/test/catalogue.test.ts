// SPDX-License-Identifier: MIT
// The catalogue: what it finds in RFC V2, that the repaired series breaks nothing, and what it can see.

import { type Exploration, explore, type Scenario } from '@pkslab/explore';
import { kernelChoices } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { describe, expect, it } from 'vitest';
import { scenarios } from '../src/index.ts';

/** Schedules within which each reported defect is found. */
const EXECUTIONS = 2000;

const small = scenarios.filter(({ name }) => name !== 'everything');

function named(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`no scenario ${name}`);
  return found;
}

interface Find {
  /** The repair that ends it. */
  readonly repair: string;
  readonly scenario: string;
  /** What is found first otherwise. */
  readonly earlier: readonly string[];
  readonly invariant: string;
  readonly events: number;
  /** What the same scenario finds next. */
  readonly next?: string;
}

const finds: readonly Find[] = [
  { repair: 'D-01', scenario: 'irq-in-section', earlier: [], invariant: 'I4', events: 1 },
  {
    repair: 'D-03',
    scenario: 'nmi-in-section',
    earlier: ['D-01'],
    invariant: 'I3',
    events: 1,
    next: 'D-02',
  },
  {
    repair: 'D-08',
    scenario: 'preempt-in-section',
    earlier: ['D-01', 'D-03'],
    invariant: 'I2',
    events: 1,
  },
  // saved_pkrs is not preserved over an exception.
  {
    repair: 'D-02',
    scenario: 'handler-grants',
    earlier: ['D-01', 'D-03', 'D-08'],
    invariant: 'I4',
    events: 1,
  },
  // The same, seen by another task: the handler sleeps, and the section stays open over the switch.
  {
    repair: 'D-02',
    scenario: 'fault-sleeps',
    earlier: ['D-01', 'D-03', 'D-08'],
    invariant: 'I5',
    events: 1,
  },
  // An NMI between the two writes of an update saves a cache that lies.
  {
    repair: 'D-02',
    scenario: 'nmi-in-section',
    earlier: ['D-01', 'D-03', 'D-08'],
    invariant: 'I4',
    events: 1,
  },
  {
    repair: 'D-11',
    scenario: 'kmap-handover',
    earlier: ['D-01', 'D-03', 'D-08', 'D-02'],
    invariant: 'I16',
    events: 0,
  },
  // No reviewer reported these two.
  {
    repair: 'fork-inherits',
    scenario: 'fork-in-section',
    earlier: ['D-01', 'D-03', 'D-08', 'D-02', 'D-11'],
    invariant: 'I11',
    events: 0,
  },
  {
    repair: 'branch-flips',
    scenario: 'detach-last',
    earlier: ['D-01', 'D-03', 'D-08', 'D-02', 'D-11'],
    invariant: 'I6',
    events: 0,
  },
];

function onRfcV2(name: string, repairs: readonly string[], budget = {}): Exploration {
  return explore(named(name), { revision: 'rfc-v2', repairs, budget });
}

describe('on rfc-v2', () => {
  it.each(finds)('$scenario finds $repair, once $earlier are repaired', (find) => {
    const found = onRfcV2(find.scenario, find.earlier);
    expect(found).toMatchObject({
      verdict: 'violated',
      invariant: find.invariant,
      attributedTo: find.repair,
      events: find.events,
    });
    expect(found.executions).toBeLessThanOrEqual(EXECUTIONS);
  });

  it.each(finds)('$scenario does not find it once $repair is repaired too', (find) => {
    const after = onRfcV2(find.scenario, [...find.earlier, find.repair]);
    const { next = null } = find;
    const verdict = next === null ? 'holds' : 'violated';
    expect(after).toMatchObject({ verdict, attributedTo: next });
  });

  it.each(finds.filter(({ events }) => events > 0))(
    '$scenario needs its $events event(s) for $repair',
    ({ scenario, earlier }) => {
      const none = { irq: 0, nmi: 0, preempt: 0, pageFault: 0 };
      expect(onRfcV2(scenario, earlier, none).verdict).toBe('holds');
    },
  );

  it('attach-first finds a count that wraps: the section began before the first device came', () => {
    const found = onRfcV2('attach-first', []);
    expect(found).toMatchObject({ invariant: 'I6', message: 'task 2 exits with count 4294967295' });
    expect(onRfcV2('attach-first', ['branch-flips']).verdict).toBe('holds');
  });

  it('everything finds D-01 first', () => {
    const found = onRfcV2('everything', []);
    expect(found).toMatchObject({ verdict: 'violated', attributedTo: 'D-01', events: 1 });
    expect(found.executions).toBeLessThanOrEqual(EXECUTIONS);
  });

  it('with every one of them repaired, nothing is found', () => {
    const repairs = [...new Set(finds.map(({ repair }) => repair))];
    for (const { name } of small) {
      expect({ name, ...onRfcV2(name, repairs) }).toMatchObject({ name, verdict: 'holds' });
    }
  });
});

describe('on reference', () => {
  it.each(small)('$name holds, and its space is finished', (scenario) => {
    const held = explore(scenario);
    expect(held).toMatchObject({ verdict: 'holds', message: null });
    expect(held.states).toBeLessThan(20_000);
  });
});

/** A scenario that sees a sabotage, and what it says. */
const seenBy: Readonly<Record<string, readonly [string, string]>> = {
  'state-by-value': ['irq-in-section', 'I9'],
  'nmi-uncovered': ['nmi-in-section', 'I3'],
  'switch-slow-path-only': ['preempt-in-section', 'I2'],
  'entry-saves-nothing': ['irq-in-section', 'I3'],
  'saved-not-preserved': ['nmi-in-section', 'I4'],
  'switch-writes-nothing': ['preempt-in-section', 'I2'],
  'fork-copies-rights': ['fork-in-section', 'I11'],
  'count-not-nested': ['nested-sections', 'I6'],
  'count-borrowed': ['handler-grants', 'I7'],
  'access-gated-by-branch': ['attach-first', 'I16'],
  'key-not-mapped': ['kmap-handover', 'G'],
  'branch-counted-twice': ['attach-second', 'I10'],
  'kmap-hook-removed': ['irq-in-section', 'I16'],
};

/** Found by the tests of their own packages: no matter of schedules, or (idle entries, Xen, hotplug) in no scenario. */
const seenElsewhere = [
  'cpu-online-without-setup',
  'free-closes-one-thread',
  'kmap-sleep-unchecked',
  'managed-put-always',
  'save-before-rcu',
  'unmap-does-not-wait',
  'xen-upcall-forgets',
];

describe('a sabotage of reference', () => {
  it.each(Object.entries(seenBy))('%s is found by %s', (sabotage, [name, invariant]) => {
    const found = explore(named(name), { sabotages: [sabotage] });
    expect(found).toMatchObject({ verdict: 'violated', invariant });
  });

  it('of every kind that these packages know is in the list', () => {
    const slices = [kernelChoices, pksCore, memremap, kmap];
    const known = slices.flatMap(({ sabotages }) => Object.keys(sabotages ?? {}));
    expect([...Object.keys(seenBy), ...seenElsewhere].sort()).toEqual(known.sort());
  });
});
