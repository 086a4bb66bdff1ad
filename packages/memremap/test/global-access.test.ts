// SPDX-License-Identifier: MIT
// Grants to everybody: rfc-v3, and what its repairs and the other ways to count make of them.

import { describe, expect, it } from 'vitest';
import { attach, refused, reported, type Stack, withDevice } from './support.ts';

const V3 = { revision: 'rfc-v3' } as const;

/** Whether the caller is refused in a section, and after it. */
function aroundSection(stack: Stack): readonly boolean[] {
  const { kernel, globalAccess } = stack;
  const { address } = attach(stack);
  kernel.call(() => globalAccess.enable());
  const inside = refused(stack, address);
  kernel.call(() => globalAccess.disable());
  return [inside, refused(stack, address)];
}

describe('a global grant', () => {
  it.each([
    ['as posted', {}],
    ['without protection of the count', { countProtection: 'none' }],
    ['under a spinlock', { countProtection: 'spinLockIrq' }],
    ['counted by the CPU', { grantCounting: 'perCpu' }],
    ['with a cookie', { grantCounting: 'cookie' }],
  ])('opens and closes, %s', (_name, choices) => {
    const stack = withDevice({ ...V3, with: choices });
    expect(aroundSection(stack)).toEqual([false, true]);
    expect([...stack.access.ref.values].every((count) => count === 0)).toBe(true);
  });

  it('too often ended wraps the count, and is refused with D-22 repaired', () => {
    const surplus = (repairs: readonly string[]): readonly [number, readonly string[]] => {
      const stack = withDevice({ ...V3, repairs });
      attach(stack);
      stack.kernel.call(() => stack.globalAccess.disable());
      const count = stack.access.ref.values[stack.kernel.runner.hostTask] as number;
      return [count, reported(stack.kernel)];
    };
    expect(surplus([])).toEqual([0xffff_ffff, []]);
    const [count, log] = surplus(['D-22']);
    expect(count).toBe(0);
    expect(log[1]).toBe('memremap: dev_access_disable without an enable');
    expect(log.slice(4, 8)).toEqual(['Call Trace:', ' dev_access_disable', '---[ end trace ]---']);
  });

  it('is there before the first device with branch-flips repaired', () => {
    const count = (repairs: readonly string[]): number => {
      const { kernel, access, globalAccess } = withDevice({ ...V3, repairs });
      kernel.call(() => globalAccess.enable());
      return access.ref.values[kernel.runner.hostTask] as number;
    };
    expect([count([]), count(['branch-flips'])]).toEqual([0, 1]);
  });

  it('that does not nest closes with the first end (count-not-nested)', () => {
    const stack = withDevice({ ...V3, sabotages: ['count-not-nested'] });
    const { kernel, globalAccess } = stack;
    const { address } = attach(stack);
    kernel.call(() => {
      globalAccess.enable();
      globalAccess.enable();
      globalAccess.disable();
    });
    expect(refused(stack, address)).toBe(true);
  });
});
