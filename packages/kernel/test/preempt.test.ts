// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { HARDIRQ_OFFSET, NMI_OFFSET, SOFTIRQ_OFFSET } from '../src/index.ts';
import { booted } from './support.ts';

describe('the preempt count', () => {
  it('nests, and is atomic above 0', () => {
    const { kernel } = booted();
    const { preempt } = kernel;
    const seen = kernel.call(() => {
      const values = [preempt.inAtomic];
      preempt.disable();
      preempt.disable();
      preempt.enable();
      values.push(preempt.inAtomic);
      preempt.enable();
      return [...values, preempt.inAtomic];
    });
    expect(seen).toEqual([false, true, false]);
  });

  it.each([SOFTIRQ_OFFSET, HARDIRQ_OFFSET, NMI_OFFSET])(
    'with 0x%x in it is interrupt context, with preempt_disable alone it is not',
    (offset) => {
      const { kernel } = booted();
      const { preempt } = kernel;
      kernel.call(() => preempt.disable());
      expect(kernel.call(() => preempt.inInterrupt)).toBe(false);
      kernel.call(() => preempt.count.add(offset));
      expect(kernel.call(() => preempt.inInterrupt)).toBe(true);
    },
  );
});
