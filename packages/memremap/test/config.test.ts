// SPDX-License-Identifier: MIT
// CONFIG_DEVMAP_ACCESS_PROTECTION=n: as without the patches.

import { describe, expect, it } from 'vitest';
import { PKS_FAULT_MODE_FILE } from '../src/index.ts';
import { attach, DEVICE, refused, reported, withDevice } from './support.ts';

describe.each(['rfc-v2', 'rfc-v3', 'v7', 'v10', 'reference'] as const)(
  'configured out, %s',
  (revision) => {
    const stack = withDevice({ revision, with: { DEVMAP_ACCESS_PROTECTION: 'n' } });
    const { kernel, access, pagemaps } = stack;

    it('has no device key, and maps with key 0', () => {
      expect(access.available).toBe(false);
      expect(kernel.debugfs.exists(PKS_FAULT_MODE_FILE)).toBe(false);
      const map = attach(stack, 4096, pagemaps.protectionFlags);
      expect([map.pkey, kernel.mm.lookup(map.address).key]).toEqual([0, 0]);
      expect(refused(stack, map.address)).toBe(false);
      expect(kernel.call(() => pagemaps.pageIsAccessProtected(DEVICE / 4096))).toBe(false);
      expect(access.branch.count.values[0]).toBe(0);
    });

    it('has verbs that do nothing', () => {
      kernel.call(() => {
        access.enable();
        expect(access.disable()).toBe(false);
      });
      expect([...access.ref.values].every((count) => count === 0)).toBe(true);
      expect(reported(kernel)).toEqual([]);
    });
  },
);
