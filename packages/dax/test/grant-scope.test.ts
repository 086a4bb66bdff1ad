// SPDX-License-Identifier: MIT
// How long access is open: as long as the lock, or around each touch.

import { type BootOptions, TaskKilled } from '@pkslab/kernel';
import { memremap } from '@pkslab/memremap';
import { PAGE_SIZE } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { Fsdax, flatExtents, IovIter } from '../src/index.ts';
import { locked, type Rig, ramPage, rig } from './support.ts';

const STRICT = { faultMode: 'strict' };
const REVISIONS = ['rfc-v2', 'rfc-v3', 'v7', 'v10', 'reference'] as const;
/** What would get in the way of a single task's calls in the first postings. */
const options = (revision: (typeof REVISIONS)[number]): BootOptions => ({
  revision,
  with: revision === 'v7' || revision === 'v10' ? STRICT : {},
});

const refusedUnderLock = (made: Rig): boolean =>
  locked(made, () => made.kernel.machine.tryStore32(made.pagemap.address, 1));
const openNow = ({ kernel }: Rig): boolean =>
  ((kernel.machine.registers.pkrs.values[0] as number) & 0b1100) === 0;
const count = ({ kernel }: Rig): number =>
  kernel.module(memremap).access.ref.values[kernel.runner.hostTask] as number;

describe('dax_read_lock', () => {
  it.each(['rfc-v2', 'rfc-v3', 'reference'] as const)('opens access in %s', (revision) => {
    expect(refusedUnderLock(rig(options(revision)))).toBe(false);
  });

  it.each(['v7', 'v10'] as const)('opens nothing in %s', (revision) => {
    expect(refusedUnderLock(rig(options(revision)))).toBe(true);
  });
});

describe('dax_set_readwrite and dax_set_noaccess', () => {
  it.each(['v7', 'v10'] as const)('open access in between in %s, and nest', (revision) => {
    const made = rig(options(revision));
    const { core, device, kernel, pagemap } = made;
    const refused = locked(made, () => {
      core.setReadwrite(device);
      core.setReadwrite(device);
      core.setNoaccess(device);
      const inside = kernel.machine.tryStore32(pagemap.address, 1);
      core.setNoaccess(device);
      return [inside, kernel.machine.tryStore32(pagemap.address, 1)];
    });
    expect(refused).toEqual([false, true]);
  });

  it('do nothing where the lock does it', () => {
    const made = rig();
    made.kernel.call(() => made.core.setReadwrite(made.device));
    expect(openNow(made)).toBe(false);
  });

  it('do nothing for a device whose memory is not protected', () => {
    for (const revision of ['v7', 'v10'] as const) {
      const made = rig({ ...options(revision), with: { ...STRICT, mapKey: 'dropped' } });
      made.kernel.call(() => made.kernel.module(memremap).pagemaps.flags.set(made.pagemap.id, 0));
      expect(made.kernel.call(() => made.core.mapProtected(made.device))).toBe(false);
      made.kernel.call(() => made.core.setReadwrite(made.device));
      expect(openNow(made)).toBe(false);
    }
  });

  /** The device is killed between the two; whether the key is open afterwards. */
  const leftOpen = (boot: BootOptions): boolean => {
    const made = rig(boot);
    const { core, device, kernel } = made;
    kernel.call(() => {
      core.setReadwrite(device);
      core.killDax(device);
      core.setNoaccess(device);
    });
    expect(count(made)).toBe(openNow(made) ? 1 : 0);
    return openNow(made);
  };

  it('leave access open for good where the device dies in between (v7, v10)', () => {
    expect(leftOpen(options('v7'))).toBe(true);
    expect(leftOpen(options('v10'))).toBe(true);
    const repaired = { ...options('v10'), repairs: ['noaccess-of-dead-device'] };
    expect(leftOpen(repaired)).toBe(false);
  });
});

describe.each(REVISIONS)('the accesses of fs/dax in %s', (revision) => {
  const closedAfterwards = (made: Rig): void => {
    expect(openNow(made)).toBe(false);
    expect(count(made)).toBe(0);
  };

  it('go through: read, write, zero, copy on write', () => {
    const made = rig(options(revision));
    const { kernel, device } = made;
    const fs = new Fsdax(kernel);
    const file = flatExtents(device, [{ offset: 0, length: 4 * PAGE_SIZE, address: 0 }]);
    const buffer = new Uint8Array(6000).fill(7);
    expect(kernel.call(() => fs.iomapRw(file, 100, IovIter.user(buffer), true))).toBe(6000);
    const back = new Uint8Array(6000);
    expect(kernel.call(() => fs.iomapRw(file, 100, IovIter.user(back), false))).toBe(6000);
    expect(back).toEqual(buffer);
    const iomap = file.begin(0, PAGE_SIZE);
    if (typeof iomap === 'number') throw new Error('no extent');
    expect(kernel.call(() => fs.iomapZero(iomap, 10, 100))).toBe(0);
    const pfn = ramPage(kernel);
    expect(kernel.call(() => fs.copyCowPage(device, PAGE_SIZE, pfn))).toBe(0);
    closedAfterwards(made);
  });

  const fixed = revision === 'v10' || revision === 'reference';
  it(`dax_writeback_one ${fixed ? 'goes through' : 'is refused (D-25)'}`, () => {
    const made = rig(options(revision));
    const fs = new Fsdax(made.kernel);
    const flush = (): void =>
      made.kernel.call(() => fs.writebackOne(made.device, made.pagemap.address, 1));
    if (fixed) flush();
    else expect(flush).toThrow(TaskKilled);
    if (fixed) closedAfterwards(made);
  });
});

describe('dax-writeback-without-access', () => {
  it('is caught by a flush of a protected page', () => {
    const made = rig({ sabotages: ['dax-writeback-without-access'] });
    const fs = new Fsdax(made.kernel);
    expect(() =>
      made.kernel.call(() => fs.writebackOne(made.device, made.pagemap.address, 1)),
    ).toThrow(TaskKilled);
  });
});
