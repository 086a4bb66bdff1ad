// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { boot, EINVAL, KernelError, type KernelModule, noChoices } from '../src/index.ts';

/** A module with options as PMEM's in RFC V2 and V10, which does something only where it is configured in. */
const device: KernelModule<string> = {
  name: 'device',
  ...noChoices,
  config: [
    {
      name: 'ZONE_DEVICE_ACCESS_PROTECTION',
      default: true,
      depends: ['ZONE_DEVICE', 'ARCH_HAS_SUPERVISOR_PKEYS'],
      revisions: ['rfc-v2', 'reference'],
    },
    { name: 'ARCH_ENABLE_PKS_CONSUMER', default: false, prompt: false, revisions: ['v10'] },
    {
      name: 'DEVMAP_ACCESS_PROTECTION',
      default: false,
      depends: ['!HIGHMEM', 'ARCH_HAS_SUPERVISOR_PKEYS'],
      selects: ['ARCH_ENABLE_PKS_CONSUMER'],
      revisions: ['v10'],
    },
    {
      name: 'PKS_TEST_ALL_KEYS',
      default: false,
      depends: ['!ARCH_ENABLE_PKS_CONSUMER'],
      revisions: ['v10'],
    },
  ],
  create: (kernel) =>
    kernel.config.enabled('ZONE_DEVICE_ACCESS_PROTECTION') ? 'protected' : 'stub',
};

const modules = [device];

function refused(options: Parameters<typeof boot>[0]): string {
  try {
    boot({ modules, ...options });
  } catch (error) {
    expect(error).toBeInstanceOf(KernelError);
    expect((error as KernelError).errno).toBe(EINVAL);
    return (error as Error).message;
  }
  throw new Error('booted');
}

describe('the configuration of a boot', () => {
  it('has what is so by default, and decides what a module does', () => {
    const kernel = boot({ modules });
    expect(kernel.module(device)).toBe('protected');
    expect(kernel.config.enabled('X86_INTEL_MEMORY_PROTECTION_KEYS')).toBe(true);
    expect(kernel.config.enabled('ARCH_HAS_SUPERVISOR_PKEYS')).toBe(true);
    expect(boot({ modules, config: { ZONE_DEVICE: false } }).module(device)).toBe('stub');
  });

  it('loses by default what depends on what is off', () => {
    const { config } = boot({ modules, config: { X86_INTEL_MEMORY_PROTECTION_KEYS: false } });
    expect(config.enabled('ARCH_HAS_SUPERVISOR_PKEYS')).toBe(false);
    expect(config.enabled('ZONE_DEVICE_ACCESS_PROTECTION')).toBe(false);
  });

  it('is met by one of two alternatives', () => {
    const one = boot({ config: { CPU_SUP_INTEL: false } });
    expect(one.config.enabled('X86_INTEL_MEMORY_PROTECTION_KEYS')).toBe(true);
    const none = boot({ config: { CPU_SUP_INTEL: false, CPU_SUP_AMD: false } });
    expect(none.config.enabled('X86_INTEL_MEMORY_PROTECTION_KEYS')).toBe(false);
  });

  it('turns on what an option selects', () => {
    const config = { DEVMAP_ACCESS_PROTECTION: true };
    const kernel = boot({ modules, revision: 'v10', config });
    expect(kernel.config.all).toMatchObject({
      ARCH_ENABLE_PKS_CONSUMER: true,
      DEVMAP_ACCESS_PROTECTION: true,
      PKS_TEST_ALL_KEYS: false,
    });
  });

  it('has only the options of its revision', () => {
    expect(boot({ modules }).config.enabled('DEVMAP_ACCESS_PROTECTION')).toBe(false);
    expect(refused({ config: { DEVMAP_ACCESS_PROTECTION: true } })).toContain(
      'unknown config option DEVMAP_ACCESS_PROTECTION: there is CPU_SUP_INTEL, ',
    );
  });
});

describe('a request that cannot be met is refused with what to set', () => {
  it.each([
    [
      { config: { ZONE_DEVICE_ACCESS_PROTECTION: true, ZONE_DEVICE: false } },
      'config ZONE_DEVICE_ACCESS_PROTECTION depends on ZONE_DEVICE: set ZONE_DEVICE or leave ZONE_DEVICE_ACCESS_PROTECTION out',
    ],
    [
      { revision: 'v10' as const, config: { DEVMAP_ACCESS_PROTECTION: true, HIGHMEM: true } },
      'config DEVMAP_ACCESS_PROTECTION depends on !HIGHMEM: set not HIGHMEM or leave DEVMAP_ACCESS_PROTECTION out',
    ],
    [
      {
        revision: 'v10' as const,
        config: { DEVMAP_ACCESS_PROTECTION: true, PKS_TEST_ALL_KEYS: true },
      },
      'config PKS_TEST_ALL_KEYS depends on !ARCH_ENABLE_PKS_CONSUMER',
    ],
    [
      { config: { ARCH_HAS_SUPERVISOR_PKEYS: true } },
      'config ARCH_HAS_SUPERVISOR_PKEYS cannot be set by itself: set X86_INTEL_MEMORY_PROTECTION_KEYS',
    ],
    [{ config: { X86_64: false } }, 'config X86_64 cannot be set by itself: it is always so'],
  ])('%j', (options, message) => {
    expect(refused(options)).toContain(message);
  });
});
