// SPDX-License-Identifier: MIT
// Kconfig options of device memory; without protection, all is as before the patches.

import { type BootOptions, ENXIO, KernelError, type RevisionName } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { PKS_FAULT_MODE_FILE } from '../src/index.ts';
import { attach, DEVICE, refused, reported, withDevice } from './support.ts';

const NAMES: readonly (readonly [RevisionName, string])[] = [
  ['rfc-v2', 'ZONE_DEVICE_ACCESS_PROTECTION'],
  ['rfc-v3', 'ZONE_DEVICE_ACCESS_PROTECTION'],
  ['v7', 'DEVMAP_ACCESS_PROTECTION'],
  ['v10', 'DEVMAP_ACCESS_PROTECTION'],
  ['reference', 'ZONE_DEVICE_ACCESS_PROTECTION'],
];

describe.each(NAMES)('%s: %s', (revision, option) => {
  it('is on where the module is loaded', () => {
    const { kernel, access, enabled } = withDevice({ revision });
    expect([kernel.config.enabled(option), access.available, enabled]).toEqual([true, true, true]);
  });

  it('goes with what it depends on', () => {
    const config = { X86_INTEL_MEMORY_PROTECTION_KEYS: false };
    const { kernel, access, enabled } = withDevice({ revision, config });
    expect([kernel.config.enabled(option), access.available, enabled]).toEqual([
      false,
      false,
      false,
    ]);
    expect(() => withDevice({ revision, config: { ...config, [option]: true } })).toThrow(
      `config ${option} depends on ARCH_HAS_SUPERVISOR_PKEYS`,
    );
  });

  const stack = withDevice({ revision, config: { [option]: false } });
  const { kernel, access, pagemaps } = stack;

  it('configured out: has no device key, and maps with key 0', () => {
    expect(access.available).toBe(false);
    expect(kernel.debugfs.exists(PKS_FAULT_MODE_FILE)).toBe(false);
    const map = attach(stack, 4096, pagemaps.protectionFlags);
    expect([map.pkey, kernel.mm.lookup(map.address).key]).toEqual([0, 0]);
    expect(refused(stack, map.address)).toBe(false);
    expect(kernel.call(() => pagemaps.pageIsAccessProtected(DEVICE / 4096))).toBe(false);
    expect(access.branch.count.values[0]).toBe(0);
  });

  it('configured out: has verbs that do nothing', () => {
    kernel.call(() => {
      access.enable();
      expect(access.disable()).toBe(false);
    });
    expect([...access.ref.values].every((count) => count === 0)).toBe(true);
    expect(reported(kernel)).toEqual([]);
  });

  it('configured out: leaves PKS without a consumer in v7 and v10, and alone before', () => {
    expect(stack.enabled).toBe(revision !== 'v7' && revision !== 'v10');
  });

  it('is not there without ZONE_DEVICE: devm_memremap_pages is a stub', () => {
    const without = withDevice({ revision, config: { ZONE_DEVICE: false } });
    expect(without.access.available).toBe(false);
    const attaching = (): unknown => attach(without, 4096, without.pagemaps.protectionFlags);
    expect(attaching).toThrow(KernelError);
    expect(attaching).toThrow(expect.objectContaining({ errno: ENXIO }));
    const warnings = reported(without.kernel).filter((line) => line.startsWith('WARNING: '));
    expect(warnings.length).toBe(1);
  });
});

describe('DEVMAP_ACCESS_PROTECTION', () => {
  it.each(['v7', 'v10'] as const)('%s: is not for HIGHMEM', (revision) => {
    const options: BootOptions = { revision, config: { HIGHMEM: true } };
    expect(withDevice(options).access.available).toBe(false);
    const config = { HIGHMEM: true, DEVMAP_ACCESS_PROTECTION: true };
    expect(() => withDevice({ revision, config })).toThrow(
      'config DEVMAP_ACCESS_PROTECTION depends on !HIGHMEM',
    );
  });

  it('needs NVDIMM_PFN', () => {
    const config = { NVDIMM_PFN: false };
    expect(withDevice({ revision: 'v10', config }).access.available).toBe(false);
    expect(withDevice({ config }).access.available).toBe(true);
  });

  it('v10: is a consumer, so there is no test of all keys beside it', () => {
    const { config } = withDevice({ revision: 'v10' }).kernel;
    expect(config.enabled('ARCH_ENABLE_PKS_CONSUMER')).toBe(true);
  });
});
