// SPDX-License-Identifier: MIT
import { type BootOptions, boot } from '@pkslab/kernel';
import { pksCore } from '@pkslab/pks-core';
import { describe, expect, it } from 'vitest';
import { memremap } from '../src/index.ts';

/** The count that a child starts with, born in its parent's section. */
function countOfChild(options: BootOptions): number {
  const kernel = boot({ ...options, modules: [pksCore, memremap] });
  const { access } = kernel.module(memremap);
  const child = kernel.call(() => {
    access.enable();
    const task = kernel.spawn('child', () => {});
    access.disable();
    return task;
  });
  return access.ref.values[child] as number;
}

describe('the count of a child', () => {
  it('is 0 in the reference, and with the RFCs’ own field', () => {
    expect(countOfChild({})).toBe(0);
    expect(countOfChild({ with: { accessGate: 'key' }, revision: 'rfc-v2' })).toBe(0);
  });

  it('is its parent’s where the field is copied with the rest (V7, V10), or sabotaged so (fork-copies-count)', () => {
    expect(countOfChild({ revision: 'v10' })).toBe(1);
    expect(countOfChild({ sabotages: ['fork-copies-count'] })).toBe(1);
  });

  it('is 0 again with fork-inherits repaired', () => {
    expect(countOfChild({ revision: 'v10', repairs: ['fork-inherits'] })).toBe(0);
  });

  it('is a matter of forks only where tasks have it: CPUs have no children', () => {
    const hooks = (grantCounting: string): number => {
      const options = { revision: 'v10', with: { grantCounting } } as const;
      return boot({ ...options, modules: [pksCore, memremap] }).slots.fork.length;
    };
    expect(hooks('perTask') - hooks('perCpu')).toBe(1);
  });
});

describe('one disable too many', () => {
  it('is refused, or wraps the count where that is sabotaged (underflow-wraps)', () => {
    const count = (sabotages: readonly string[]): number => {
      const kernel = boot({ sabotages, modules: [pksCore, memremap] });
      const { access } = kernel.module(memremap);
      return kernel.call(() => {
        access.disable();
        return access.ref.get(kernel.tasks.current);
      });
    };
    expect(count([])).toBe(0);
    expect(count(['underflow-wraps'])).toBe(0xffff_ffff);
  });
});
