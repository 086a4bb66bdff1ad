// SPDX-License-Identifier: MIT
// What each revision's Kconfig options do, and the stubs that are there without them.

import {
  type BootOptions,
  boot,
  EINVAL,
  EOPNOTSUPP,
  KernelPanic,
  type RevisionName,
} from '@pkslab/kernel';
import { CR4_PKE, CR4_PKS } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { isPksConfigured, PKEY_DISABLE_ACCESS, pksCore, pksTest, RUN_PKS } from '../src/index.ts';
import { consumer, pkrsOf, reported, withPks } from './support.ts';

const OUT: BootOptions = { config: { X86_INTEL_MEMORY_PROTECTION_KEYS: false } };
const RFCS = ['rfc-v2', 'rfc-v3', 'reference'] as const;
const STATIC = ['v7', 'v10'] as const;

describe('which option brings the code', () => {
  it.each(RFCS)('%s: ARCH_HAS_SUPERVISOR_PKEYS, which the architecture selects', (revision) => {
    const { kernel, enabled } = withPks({ revision });
    expect([isPksConfigured(kernel), enabled]).toEqual([true, true]);
    expect(kernel.config.all).not.toHaveProperty('ARCH_ENABLE_SUPERVISOR_PKEYS');
  });

  it.each(STATIC)('%s: a consumer; without one there is no code', (revision) => {
    const alone = withPks({ revision });
    expect([alone.enabled, pkrsOf(alone.kernel)]).toEqual([false, 0]);
    const kernel = boot({ revision, modules: [pksCore, pksTest] });
    expect(kernel.module(pksCore).enabled).toBe(true);
    expect(kernel.config.enabled('ARCH_ENABLE_PKS_CONSUMER')).toBe(false);
  });

  it('v10: a consumer of your own selects ARCH_ENABLE_PKS_CONSUMER', () => {
    const kernel = boot({ revision: 'v10', modules: [pksCore, consumer] });
    expect(kernel.module(pksCore).enabled).toBe(true);
    expect(kernel.config.all).toMatchObject({
      ARCH_ENABLE_PKS_CONSUMER: true,
      ARCH_ENABLE_SUPERVISOR_PKEYS: true,
      ARCH_HAS_PTREGS_AUXILIARY: true,
    });
  });

  it('refuses what cannot be, and says what to set', () => {
    const modules = [pksCore, pksTest];
    const boots =
      (options: BootOptions): (() => unknown) =>
      () =>
        boot({ ...options, modules });
    const config = { PKS_TESTING: true, X86_INTEL_MEMORY_PROTECTION_KEYS: false };
    expect(boots({ config })).toThrow('config PKS_TESTING depends on ARCH_HAS_SUPERVISOR_PKEYS');
    expect(boots({ config: { PKS_TEST: true } })).toThrow('unknown config option PKS_TEST: there');
    const allKeys = { PKS_TEST_ALL_KEYS: true };
    expect(boots({ revision: 'v10', config: { ...allKeys, PKS_TEST: false } })).toThrow(
      'config PKS_TEST_ALL_KEYS depends on PKS_TEST',
    );
    expect(() =>
      boot({ revision: 'v10', modules: [...modules, consumer], config: allKeys }),
    ).toThrow('config PKS_TEST_ALL_KEYS depends on !ARCH_ENABLE_PKS_CONSUMER');
    expect(boots({ config: { ARCH_HAS_SUPERVISOR_PKEYS: false } })).toThrow(
      'set X86_INTEL_MEMORY_PROTECTION_KEYS',
    );
  });
});

describe.each([...RFCS, ...STATIC])('configured out, %s', (revision) => {
  const { kernel, keys, pkrs, user } = withPks({ revision, ...OUT });

  it('leaves CR4.PKS and PKRS alone, in the machine that has them', () => {
    expect(kernel.machine.features.pks).toBe(true);
    expect((kernel.machine.registers.cr4.values[0] as number) & CR4_PKS).toBe(0);
    expect(pkrsOf(kernel)).toBe(0);
    kernel.call(() => kernel.spawn('other', () => {}));
    kernel.run();
    expect([pkrsOf(kernel), pkrs.cache.column.values[0]]).toEqual([0, 0]);
  });

  it('gives no key, and takes none back', () => {
    const none = keys.isStatic ? -EOPNOTSUPP : -EINVAL;
    expect(kernel.call(() => keys.forConsumer('mine', 'test'))).toBe(none);
    if (keys.isStatic) return;
    expect(kernel.call(() => keys.alloc('mine'))).toBe(-EINVAL);
    const before = kernel.dmesg.length;
    kernel.call(() => keys.free(1));
    kernel.call(() => keys.free(0));
    expect(kernel.dmesg.length).toBe(before);
    expect(kernel.debugfs.exists('x86/pks_keys_allocated')).toBe(false);
  });

  it('has no user keys either', () => {
    kernel.call(() => user.setup());
    expect((kernel.machine.registers.cr4.values[0] as number) & CR4_PKE).toBe(0);
    expect(kernel.call(() => user.setUserPkeyAccess(1, 0))).toBe(-EINVAL);
  });

  it('has no run_pks', () => {
    const modules = [pksCore, pksTest];
    const stack = boot({ revision, ...OUT, modules });
    expect(stack.debugfs.exists(RUN_PKS)).toBe(false);
    expect(() => stack.module(pksTest).runAll()).toThrow('PKS_TESTING');
  });
});

describe('the stub of pks_update_protection', () => {
  const update = (options: BootOptions): (() => readonly string[]) => {
    const { kernel, pkrs } = withPks({ ...OUT, ...options });
    return () => {
      kernel.printk.clear();
      kernel.call(() => {
        const saved = pkrs.saved.get(kernel.tasks.current);
        pkrs.updateProtection(1, PKEY_DISABLE_ACCESS);
        pkrs.updateProtection(1, 0);
        pkrs.updateProtection(1, 0);
        expect(pkrs.saved.get(kernel.tasks.current)).toBe(saved);
      });
      return kernel.dmesg.filter((line) => line.startsWith('WARNING: '));
    };
  };

  it.each([
    ['rfc-v2', 1],
    ['rfc-v3', 1],
    ['v7', 0],
    ['v10', 0],
    ['reference', 0],
  ] as [RevisionName, number][])('%s: WARN_ON_ONCE(1) ×%i', (revision, count) => {
    expect(update({ revision })().length).toBe(count);
  });

  it('stops a machine with panic_on_warn (D-47), until it is repaired', () => {
    const policy = { panicOnWarn: true };
    expect(update({ revision: 'rfc-v2', policy })).toThrow(KernelPanic);
    expect(update({ revision: 'rfc-v2', policy, repairs: ['D-47'] })()).toEqual([]);
  });

  it('is what the verbs of RFC V3 become', () => {
    const { kernel, verbs } = withPks({ ...OUT, revision: 'rfc-v3' });
    kernel.call(() => verbs.mkrdwr(1, true));
    expect(reported(kernel).filter((line) => line.startsWith('WARNING: ')).length).toBe(1);
  });
});

describe('the test programme', () => {
  it.each([
    ['rfc-v2', 'PKS_TESTING'],
    ['rfc-v3', 'PKS_TESTING'],
    ['v7', 'PKS_TEST'],
    ['v10', 'PKS_TEST'],
    ['reference', 'PKS_TESTING'],
  ] as [RevisionName, string][])('%s: is there with %s, and not without', (revision, option) => {
    const modules = [pksCore, pksTest];
    expect(boot({ revision, modules }).debugfs.exists(RUN_PKS)).toBe(true);
    const without = boot({ revision, modules, config: { [option]: false } });
    expect(without.debugfs.exists(RUN_PKS)).toBe(false);
  });
});
