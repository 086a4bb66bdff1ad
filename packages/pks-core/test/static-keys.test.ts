// SPDX-License-Identifier: MIT
import { boot, EINVAL, EOPNOTSUPP, KernelError, type RevisionName } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { INIT_PKRS_VALUE, pksCore, pksTest, staticKeyNumbers } from '../src/index.ts';
import { withPks } from './support.ts';

const STATIC: readonly RevisionName[] = ['v7', 'v10'];

describe('include/linux/pks-keys.h', () => {
  const numbers = (...configs: string[]) => staticKeyNumbers((config) => configs.includes(config));

  it('with both consumers: keys 1 and 2, PKS_KEY_MAX 3', () => {
    const both = numbers('DEVMAP_ACCESS_PROTECTION', 'PKS_TEST');
    expect(both.key).toEqual({ pgmapProtection: 1, test: 2 });
    expect(both.max).toBe(3);
  });

  it('a key that is not configured takes no number: two symbols may share one', () => {
    expect(numbers('PKS_TEST')).toMatchObject({ key: { pgmapProtection: 0, test: 1 }, max: 2 });
    expect(numbers('DEVMAP_ACCESS_PROTECTION').key).toEqual({ pgmapProtection: 1, test: 1 });
    expect(numbers()).toMatchObject({ key: { pgmapProtection: 0, test: 0 }, max: 1 });
  });

  it('PKS_INIT_VALUE is 0x55555554 in every configuration', () => {
    for (const configs of [[], ['PKS_TEST'], ['DEVMAP_ACCESS_PROTECTION', 'PKS_TEST']]) {
      expect(numbers(...configs).initValue).toBe(INIT_PKRS_VALUE);
    }
  });
});

describe.each(STATIC)('keys of %s', (revision) => {
  it('are the constants of the consumers whose modules are loaded', () => {
    const alone = boot({ revision, modules: [pksCore, pksTest] }).module(pksCore).keys;
    expect(alone.forConsumer('any name', 'test')).toBe(1);
    expect(alone.forConsumer('any name', 'pgmapProtection')).toBe(-EINVAL);
    expect([1, 2].map((key) => alone.isAllocated(key))).toEqual([true, false]);
  });

  it('are refused without PKS', () => {
    const options = { revision, features: { pks: false }, modules: [pksCore, pksTest] };
    const pks = boot(options).module(pksCore);
    expect(pks.keys.forConsumer('any name', 'test')).toBe(-EOPNOTSUPP);
    expect(pks.enabled).toBe(false);
  });

  it('cannot be allocated or freed: the error says that they are static', () => {
    const { kernel, keys } = withPks({ revision });
    expect(() => kernel.call(() => keys.alloc('x'))).toThrow(KernelError);
    expect(() => kernel.call(() => keys.alloc('x'))).toThrow(
      `pks_key_alloc: keys are static in ${revision}, there is no allocator`,
    );
    expect(() => kernel.call(() => keys.free(1))).toThrow('pks_key_free: keys are static');
    expect(kernel.debugfs.exists('x86/pks_keys_allocated')).toBe(false);
    expect(keys.showAllocated()).toBe('0: kernel\n');
  });
});

describe('keys of a revision with an allocator', () => {
  it('are given to consumers as to anybody', () => {
    for (const revision of ['reference', 'rfc-v2', 'rfc-v3'] as const) {
      const { kernel, keys } = withPks({ revision });
      expect(kernel.call(() => keys.forConsumer('x', 'test'))).toBe(1);
      expect(keys.isStatic).toBe(false);
    }
  });

  it('without PKS the errno is a choice', () => {
    const errno = (noPksErrno: string) => {
      const { kernel, keys } = withPks({ with: { noPksErrno }, features: { pks: false } });
      return kernel.call(() => keys.alloc('x'));
    };
    expect(errno('EINVAL')).toBe(-EINVAL);
    expect(errno('EOPNOTSUPP')).toBe(-EOPNOTSUPP);
  });
});

describe('a CPU without PKS', () => {
  it('is named at boot by the reference, and by no posted revision', () => {
    const said = (revision: RevisionName) =>
      withPks({ revision, features: { pks: false } }).kernel.dmesg.slice(1);
    expect(said('reference')).toEqual([
      'x86/pkeys: this CPU has no supervisor protection keys: nothing is protected',
    ]);
    for (const revision of ['rfc-v2', 'rfc-v3', 'v7', 'v10'] as const) {
      expect(said(revision)).toEqual([]);
    }
    expect(withPks().kernel.dmesg.slice(1)).toEqual([]);
  });
});
