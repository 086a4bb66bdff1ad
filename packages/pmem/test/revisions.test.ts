// SPDX-License-Identifier: MIT
// What the driver asks of memremap, and when it opens access, in each posting.

import { type BootOptions, KernelError, type RevisionName } from '@pkslab/kernel';
import { memremap, PGMAP_PROT_ENABLED } from '@pkslab/memremap';
import { describe, expect, it } from 'vitest';
import { memoryMedia, type NamespaceMode, pmem } from '../src/index.ts';
import { bootStack, MIB, pattern, rig } from './support.ts';

const REVISIONS: readonly RevisionName[] = ['rfc-v2', 'rfc-v3', 'v7', 'v10', 'reference'];
/** Two protected devices' worth of grants: the writes of PKRS in a call. */
function grants(revision: RevisionName, mode: NamespaceMode): number {
  const made = rig({ revision }, { mode });
  const { kernel, device } = made;
  // A protected device beside it keeps the static branch on.
  kernel.call(() => kernel.module(pmem).attachDisk({ media: memoryMedia(2 * MIB) }));
  const { ref } = kernel.module(memremap).access;
  let changes = 0;
  let last = 0;
  kernel.runner.attach({
    boundary(runner) {
      const now = ref.values[runner.hostTask] as number;
      if (now > last) changes++;
      last = now;
    },
  });
  kernel.call(() => device.read(0, new Uint8Array(512)));
  kernel.runner.attach(null);
  return changes;
}

describe.each(REVISIONS)('pmem in %s', (revision) => {
  it('reads and writes through its own grants, and leaves none', () => {
    const { kernel, device } = rig({ revision });
    const bytes = pattern(5000);
    const back = new Uint8Array(5000);
    expect(kernel.call(() => device.write(123, bytes))).toBe(0);
    expect(kernel.call(() => device.read(123, back))).toBe(0);
    expect(back).toEqual(bytes);
    expect(kernel.module(memremap).access.ref.values[kernel.runner.hostTask]).toBe(0);
    expect(kernel.dmesg.join()).not.toContain('Page map protection being disabled');
  });

  it('works without PKS: the flag is set all the same at first, and only where it helps from V7 on', () => {
    const { kernel, device } = rig({ revision, features: { pks: false } });
    const { pagemaps } = kernel.module(memremap);
    const later = revision === 'v7' || revision === 'v10';
    expect(pagemaps.flags.values[device.pagemap.id]).toBe(later ? 0 : PGMAP_PROT_ENABLED);
    expect(device.pagemap.pkey).toBe(0);
    expect(kernel.call(() => device.write(0, pattern(4096)))).toBe(0);
  });

  it('opens access for a raw namespace too, until the driver looks at the flag of its page map', () => {
    const later = revision === 'v7' || revision === 'v10';
    expect(grants(revision, 'fsdax')).toBe(1);
    expect(grants(revision, 'raw')).toBe(later ? 0 : 1);
  });
});

describe('a driver that asks for protection where there is none', () => {
  it('cannot attach from V7 on', () => {
    const attach = (options: BootOptions) => () => {
      const kernel = bootStack({ ...options, features: { pks: false } });
      return kernel.call(() => kernel.module(pmem).attachDisk({ media: memoryMedia(2 * MIB) }));
    };
    const always = { protectionFlag: 'always' };
    expect(attach({ revision: 'v10', with: always })).toThrow(KernelError);
    expect(attach({ revision: 'rfc-v2', with: always })).not.toThrow();
  });
});
