// SPDX-License-Identifier: MIT
// The whole stack on 5-level paging: CR4.LA57, tables with one level more, keys in the same leaves.
import { type RevisionName, revisionNames } from '@pkslab/kernel';
import { memoryMedia } from '@pkslab/pmem';
import { CR4_LA57 } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { bootStack } from '../src/index.ts';
import { keyedLeaves } from '../src/invariants/keyed-leaves.ts';

const SIZE = 2 ** 22;

function booted(revision: RevisionName, fiveLevels: boolean): ReturnType<typeof bootStack> {
  const config = { X86_5LEVEL: fiveLevels };
  return bootStack({ cpus: 2, revision, config, pmem: [{ media: memoryMedia(SIZE) }] });
}

/** What I/O through each door gives, and what a stray store meets after each. */
function outcomes(revision: RevisionName, fiveLevels: boolean): Readonly<Record<string, unknown>> {
  const { kernel, kmap, dax, devices } = booted(revision, fiveLevels);
  const device = devices[0] as (typeof devices)[number];
  const { machine } = kernel;
  const data = Uint8Array.from({ length: 9000 }, (_, i) => i % 251);
  const back = new Uint8Array(data.length);
  const stray = (): boolean => kernel.call(() => machine.tryStore32(device.address, 1));
  return {
    driver: kernel.call(() => [device.write(4000, data), device.read(4000, back)]),
    same: back.every((byte, i) => byte === data[i]),
    strayAfterDriver: stray(),
    kmap: kernel.call(() => {
      const address = kmap.kmapAtomic(device.physical / 4096 + 1);
      machine.store32(address, 0x1234);
      const value = machine.load32(address);
      kmap.kunmapAtomic(address);
      return value;
    }),
    strayAfterKmap: stray(),
    dax: kernel.call(() => {
      const id = dax.readLock();
      const found = dax.directAccess(device.dax, 0, 1);
      dax.readUnlock(id);
      return typeof found;
    }),
    strayAfterDax: stray(),
    log: kernel.dmesg.filter((line) => line !== 'pkslab: 5-level paging'),
  };
}

describe('the stack with 5-level paging', () => {
  it.each(revisionNames)('does in %s what it does with 4 levels', (revision) => {
    expect(outcomes(revision, true)).toEqual(outcomes(revision, false));
  });

  it('does I/O in reference, and refuses everybody else', () => {
    const { log, dax, ...rest } = outcomes('reference', true);
    expect(rest).toEqual({
      driver: [0, 0],
      same: true,
      strayAfterDriver: true,
      kmap: 0x1234,
      strayAfterKmap: true,
      strayAfterDax: true,
    });
    expect(dax).not.toBe('number');
  });

  it.each(revisionNames)('has the key of %s in every leaf of the device', (revision) => {
    const { kernel, devices } = booted(revision, true);
    expect((kernel.machine.registers.cr4.values[1] as number) & CR4_LA57).not.toBe(0);
    const address = devices[0]?.address as number;
    const key = devices[0]?.pagemap.pkey as number;
    expect(key).toBeGreaterThan(0);
    expect(kernel.mm.lookup(address)).toMatchObject({ key, present: true });
    const keyed = keyedLeaves(kernel);
    expect(keyed[0]).toEqual({ address, key });
    expect(new Set(keyed.map((leaf) => leaf.key))).toEqual(new Set([key]));
  });
});
