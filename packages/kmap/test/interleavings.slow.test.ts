// SPDX-License-Identifier: MIT
// The whole path from kmap to the register, under random events on two CPUs.

import { type BootOptions, RESCHEDULE_VECTOR, type Runner } from '@pkslab/kernel';
import { INIT_PKRS_VALUE } from '@pkslab/pks-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PFN, reported, type Stack, withDevice } from './support.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 20200717);

/** What may happen at a boundary; most often nothing. */
const events: readonly ((runner: Runner, other: number) => unknown)[] = [
  (runner) => runner.interrupt(0x20),
  (runner) => runner.nmi(),
  (runner) => runner.interrupt(RESCHEDULE_VECTOR),
  (runner) => runner.interrupt(RESCHEDULE_VECTOR),
  (runner, other) => runner.runOther(other, 7),
  (runner, other) => runner.runOther(other, 40),
];

const COMPLAINTS = /^(BUG|Oops|Kernel panic|memremap|x86\/pkeys|jump label|note)/;

/** Tasks and handlers with sections; what they return counts the accesses that went the wrong way. */
function workload(stack: Stack): () => number {
  const { kernel, kmap } = stack;
  const { machine } = kernel;
  const wrong = machine.column({ name: 'wrong', type: 'u32', initial: 0, per: 'global' });
  const expectRefused = (address: number, refused: boolean): void => {
    if (machine.tryStore32(address, 1) !== refused) wrong.add(0, 1);
  };
  const section = (pfn: number): void => {
    const address = kmap.kmap(pfn);
    expectRefused(address, false);
    const nested = kmap.kmapAtomic(pfn + 1);
    expectRefused(nested, false);
    kmap.kunmapAtomic(nested);
    expectRefused(address, false);
    kmap.kunmap(pfn);
    expectRefused(address, true);
  };
  const stray = (): void => expectRefused(-0x7780_0000_0000 + PFN * 4096, true);
  const handler = (): void => {
    stray();
    const mapped = kmap.kmapAtomic(PFN + 9);
    expectRefused(mapped, false);
    kmap.kunmapAtomic(mapped);
    expectRefused(mapped, true);
  };
  kernel.entry.requestIrq(0x20, handler);
  kernel.entry.registerNmi(handler);
  kernel.call(() => {
    const task = (pfn: number) => () => {
      stray();
      section(pfn);
    };
    for (let i = 0; i < 3; i++) kernel.spawn(`task ${i}`, task(PFN + i), task(PFN + i));
  });
  return () => wrong.values[0] as number;
}

/** Runs the workload with an event from the list at each boundary that has one; what is wrong afterwards. */
function wrongAfter(options: BootOptions, choices: readonly number[]): readonly string[] {
  const stack = withDevice({ cpus: 2, ...options });
  const { kernel } = stack;
  const wrong = workload(stack);
  let at = 0;
  let depth = 0;
  kernel.runner.attach({
    boundary(runner) {
      const event = events[choices[at++ % choices.length] as number];
      // Handlers have events of their own, but not without end.
      if (event === undefined || depth > 3 || at > 4000) return;
      depth++;
      event(runner, 1 - kernel.machine.cpu.index);
      depth = Math.max(0, depth - 1);
    },
  });
  kernel.run();
  kernel.runner.attach(null);
  kernel.run();
  // The strays are deliberate: one to a page that another task has mapped is named in a WARN, as it should be.
  const found = reported(kernel).filter((line) => COMPLAINTS.test(line));
  if (wrong() > 0) found.push(`${wrong()} accesses went the wrong way`);
  for (const value of kernel.machine.registers.pkrs.values) {
    if (value !== INIT_PKRS_VALUE) found.push(`a register ended as 0x${value.toString(16)}`);
  }
  for (const ref of stack.access.ref.values) if (ref !== 0) found.push(`a count ended as ${ref}`);
  return found;
}

const script = fc.array(fc.integer({ min: 0, max: 19 }), { minLength: 5, maxLength: 60 });

describe(`random events (seed: ${seed})`, () => {
  it('under reference never let a stray through, refuse a section, or leave anything behind', () => {
    fc.assert(
      fc.property(script, (choices) => {
        expect(wrongAfter({}, choices)).toEqual([]);
      }),
      { seed, numRuns: 40 },
    );
  });

  it.each<[string, BootOptions]>([
    ['rfc-v2', { revision: 'rfc-v2' }],
    ['state-by-value', { sabotages: ['state-by-value'] }],
    ['nmi-uncovered', { sabotages: ['nmi-uncovered'] }],
    ['switch-slow-path-only', { sabotages: ['switch-slow-path-only'] }],
    ['switch-writes-nothing', { sabotages: ['switch-writes-nothing'] }],
    ['entry-saves-nothing', { sabotages: ['entry-saves-nothing'] }],
    ['saved-not-preserved', { sabotages: ['saved-not-preserved'] }],
    ['count-not-nested', { sabotages: ['count-not-nested'] }],
    ['count-borrowed', { sabotages: ['count-borrowed'] }],
    ['key-not-mapped', { sabotages: ['key-not-mapped'] }],
    ['kmap-hook-removed', { sabotages: ['kmap-hook-removed'] }],
  ])('find %s', (_name, options) => {
    const result = fc.check(
      fc.property(script, (choices) => wrongAfter(options, choices).length === 0),
      { seed, numRuns: 500 },
    );
    expect(result.failed).toBe(true);
  });
});
