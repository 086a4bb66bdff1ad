// SPDX-License-Identifier: MIT
import { EINVAL, EIO, ENXIO, ERANGE } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { daxFlagsField } from '../src/device.ts';
import { DAX_DEVICES_MAX, DAXDEV_WRITE_CACHE } from '../src/index.ts';
import { locked, PAGES, rig } from './support.ts';

describe('directAccess', () => {
  it('gives the address, the pfn and how many pages follow, no more than asked for', () => {
    const it = rig();
    const found = locked(it, () => it.core.directAccess(it.device, 3, 5));
    expect(found).toEqual({ address: it.pagemap.address + 3 * 4096, pfn: 0x100003, pages: 5 });
  });

  it('gives the pages up to the end where fewer are left', () => {
    const it = rig();
    const found = locked(it, () => it.core.directAccess(it.device, PAGES - 2, 100));
    expect(found).toMatchObject({ pages: 2 });
  });

  it('is refused with a WARN while the lock is not held', () => {
    const it = rig();
    expect(it.kernel.call(() => it.core.directAccess(it.device, 0, 1))).toBe(-EINVAL);
    expect(it.kernel.dmesg).toContain('dax: direct access to pmem0 without dax_read_lock');
  });

  it.each([
    ['beyond the end', PAGES, 1, -ERANGE],
    ['of no pages', 0, 0, -EINVAL],
    ['of less than none', 0, -1, -EINVAL],
    ['of a part of a page', 0, 1.5, -EINVAL],
    ['of what is no number', 0, Number.NaN, -EINVAL],
    ['from within a page', 0.5, 1, -EINVAL],
    ['from what is no number', Number.NaN, 1, -EINVAL],
    ['before the start', -1, 1, -ERANGE],
    ['over a bad page', 6, 4, -EIO],
  ])('is refused %s', (_what, pgoff, pages, error) => {
    const it = rig({}, 8);
    expect(locked(it, () => it.core.directAccess(it.device, pgoff, pages))).toBe(error);
  });

  it('gives memory that can be stored to under the lock and not after it', () => {
    const it = rig();
    const { machine } = it.kernel;
    const refused = locked(it, () => machine.tryStore32(it.pagemap.address, 1));
    expect(refused).toBe(false);
    expect(it.kernel.call(() => machine.tryStore32(it.pagemap.address, 2))).toBe(true);
  });
});

describe('a killed device', () => {
  it('is dead for every call, and no longer found by name', () => {
    const it = rig();
    expect(it.core.getByHost('pmem0')).toBe(it.device);
    it.kernel.call(() => it.core.killDax(it.device));
    expect(it.core.daxAlive(it.device)).toBe(false);
    expect(it.core.getByHost('pmem0')).toBeNull();
    expect(locked(it, () => it.core.directAccess(it.device, 0, 1))).toBe(-ENXIO);
    expect(locked(it, () => it.core.zeroPageRange(it.device, 0, 1))).toBe(-ENXIO);
  });

  /** A reader that sleeps inside the lock until the device is dead, and who of the two is done first. */
  function killUnderReader(sabotages: string[]): string[] {
    const it = rig({ sabotages });
    const events: string[] = [];
    const { kernel, core, device } = it;
    const flags = kernel.machine.column(daxFlagsField);
    kernel.spawn('reader', () => {
      const id = core.readLock();
      kernel.sched.sleepUntil(flags, device.id, 1 << DAXDEV_WRITE_CACHE);
      events.push('reader is done');
      core.readUnlock(id);
    });
    kernel.spawn('killer', () => {
      core.killDax(device);
      events.push('killed');
    });
    kernel.run();
    return events;
  }

  it('is dead only once those who held the lock have let go', () => {
    expect(killUnderReader([])).toEqual(['reader is done', 'killed']);
  });

  it('would go under its readers if kill_dax did not wait (dax-kill-does-not-wait)', () => {
    expect(killUnderReader(['dax-kill-does-not-wait'])).toEqual(['killed', 'reader is done']);
  });
});

describe('devices', () => {
  it('are at most 16, lowest free slot first', () => {
    const it = rig();
    const more = () => it.core.allocDax({ name: 'x', operations: it.device.operations });
    for (let i = 1; i < DAX_DEVICES_MAX; i++) expect(more().id).toBe(i);
    expect(more).toThrow('all 16 dax devices are in use');
    it.core.putDax(it.device);
    expect(more().id).toBe(0);
  });

  it('zero one page at a time', () => {
    const it = rig();
    const { machine } = it.kernel;
    const word = locked(it, () => {
      machine.store32(it.pagemap.address + 4096, 7);
      expect(it.core.zeroPageRange(it.device, 1, 2)).toBe(-EIO);
      expect(it.core.zeroPageRange(it.device, 0.5, 1)).toBe(-EIO);
      expect(it.core.zeroPageRange(it.device, Number.NaN, 1)).toBe(-EIO);
      expect(it.core.zeroPageRange(it.device, 1, 1)).toBe(0);
      return machine.load32(it.pagemap.address + 4096);
    });
    expect(word).toBe(0);
  });

  it('write lines back on a flush only while their write cache is on', () => {
    const it = rig();
    const store = () =>
      locked(it, () => {
        it.kernel.machine.store32(it.pagemap.address, 7);
        it.core.flush(it.device, it.pagemap.address, 64);
        it.kernel.machine.sfence();
      });
    it.core.setWriteCache(it.device, false);
    store();
    expect(it.written).toEqual([]);
    it.core.setWriteCache(it.device, true);
    store();
    expect(it.written).toEqual([[0, 64]]);
  });
});
