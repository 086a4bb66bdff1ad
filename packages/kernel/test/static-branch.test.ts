// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { defineStaticKey } from '../src/index.ts';
import { booted, reported } from './support.ts';

const definition = defineStaticKey('test_key');

describe('a static branch', () => {
  it('is off, on between the first inc and the last dec, and off again', () => {
    const { kernel } = booted({ cpus: 2 });
    const key = kernel.staticKey(definition);
    const step = (change: () => void): boolean => {
      kernel.call(change);
      return kernel.call(() => key.enabled);
    };
    expect(kernel.call(() => key.enabled)).toBe(false);
    expect(step(() => key.inc())).toBe(true);
    expect(step(() => key.inc())).toBe(true);
    expect(step(() => key.dec())).toBe(true);
    expect(step(() => key.dec())).toBe(false);
  });

  it('is patched CPU by CPU: CPU 1 may still run the old code while CPU 0 has the new', () => {
    const { kernel } = booted({ cpus: 2 });
    const key = kernel.staticKey(definition);
    const seen = new Set<string>();
    kernel.runner.attach({ boundary: () => seen.add([...key.text.values].join()) });
    kernel.call(() => key.inc());
    kernel.runner.attach(null);
    expect(seen).toEqual(new Set(['0,0', '1,0', '1,1']));
  });

  it('says so when the count goes negative', () => {
    const { kernel } = booted();
    const key = kernel.staticKey(definition);
    kernel.call(() => key.dec());
    expect(reported(kernel)[1]).toBe('jump label: negative count!');
    expect(reported(kernel)[2]).toBe('WARNING: CPU: 0 PID: 1 at static_key_slow_dec');
  });

  it('of one definition is one key of a kernel', () => {
    const { kernel } = booted();
    expect(kernel.staticKey(definition)).toBe(kernel.staticKey(definition));
  });
});
