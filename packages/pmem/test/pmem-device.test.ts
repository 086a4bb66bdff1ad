// SPDX-License-Identifier: MIT
import { dax as daxModule } from '@pkslab/dax';
import { EINVAL, EIO, ENODEV, EROFS } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { faultyMedia, memoryMedia } from '../src/index.ts';
import { MIB, onMedia, pattern, rig } from './support.ts';

describe('read and write', () => {
  it.each([
    [0, 1],
    [4095, 2],
    [100, 4096],
    [5000, 20_000],
    [2 * MIB - 10, 20],
    [8 * MIB - 1, 1],
  ])('carry any bytes: at %i, %i of them', (offset, length) => {
    const { kernel, device } = rig();
    const data = pattern(length);
    const back = new Uint8Array(length);
    kernel.call(() => {
      expect(device.write(offset, data)).toBe(0);
      expect(device.read(offset, back)).toBe(0);
    });
    expect(back).toEqual(data);
  });

  it('take part of a buffer where a length is given', () => {
    const { kernel, device } = rig();
    const back = new Uint8Array(10).fill(9);
    kernel.call(() => {
      device.write(0, pattern(10), 4);
      device.read(0, back, 6);
    });
    expect([...back]).toEqual([...pattern(4), 0, 0, 9, 9, 9, 9]);
  });

  it.each([
    ['beyond the end', 8 * MIB - 4, 8, -EIO],
    ['before the start', -1, 8, -EIO],
    ['at half a byte', 0.5, 8, -EINVAL],
    ['of more than the buffer holds', 0, 9, -EINVAL],
    ['of nothing', 0, 0, 0],
  ])('answer a range %s', (_what, offset, length, status) => {
    const { kernel, device } = rig();
    const buffer = new Uint8Array(8);
    expect(kernel.call(() => device.read(offset, buffer, length))).toBe(status);
    expect(kernel.call(() => device.write(offset, buffer, length))).toBe(status);
  });

  it('leave a read-only device as it is', () => {
    const { kernel, device } = rig({}, { readOnly: true });
    expect(kernel.call(() => device.write(0, pattern(8)))).toBe(-EROFS);
    expect(kernel.call(() => device.read(0, new Uint8Array(8)))).toBe(0);
  });
});

describe('stray stores', () => {
  it('are refused while nobody reads or writes, and after each call', () => {
    const { kernel, device } = rig();
    const stray = () => kernel.call(() => kernel.machine.tryStore32(device.address + 64, 1));
    expect(stray()).toBe(true);
    kernel.call(() => device.write(0, pattern(8192)));
    expect(stray()).toBe(true);
    kernel.call(() => device.read(0, new Uint8Array(8192)));
    expect(stray()).toBe(true);
  });

  it('would land if the flag were not set at attach (pmem-flag-not-set)', () => {
    const { kernel, device } = rig({ sabotages: ['pmem-flag-not-set'] });
    expect(device.pagemap.pkey).toBe(0);
    expect(kernel.call(() => kernel.machine.tryStore32(device.address, 1))).toBe(false);
  });

  it('would land if the key did not reach the mapping (key-not-mapped)', () => {
    const { kernel, device } = rig({ sabotages: ['key-not-mapped'] });
    expect(kernel.call(() => kernel.machine.tryStore32(device.address, 1))).toBe(false);
  });
});

describe('access by the driver', () => {
  it('would be an I/O error for a read and an oops for a write without it (pmem-hook-removed)', () => {
    const { kernel, device } = rig({ sabotages: ['pmem-hook-removed'] });
    expect(kernel.call(() => device.read(0, new Uint8Array(8)))).toBe(-EIO);
    kernel.spawn('writer', () => void device.write(0, pattern(8)));
    kernel.run();
    expect(kernel.dmesg.join('\n')).toContain('supervisor write access in kernel mode');
  });
});

describe('durability', () => {
  it('is reached at the flush: lines are on the media, and the media were asked to keep them', () => {
    const { kernel, device, media } = rig();
    kernel.call(() => device.write(4096, pattern(200)));
    expect(media.counters.writes).toBe(0);
    expect(kernel.call(() => device.flush())).toBe(0);
    expect(media.counters).toMatchObject({ writes: 1, flushes: 1, bytesWritten: 256 });
    expect(onMedia(media, 4096, 200)).toEqual(pattern(200));
  });

  it('survives a power failure from the flush on, and not before', () => {
    const { kernel, device } = rig();
    const back = new Uint8Array(8);
    kernel.call(() => {
      device.write(0, pattern(8, 1));
      device.flush();
      device.write(64, pattern(8, 2));
      device.powerFail();
      device.read(0, back);
    });
    expect(back).toEqual(pattern(8, 1));
    kernel.call(() => device.read(64, back));
    expect([...back]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  /** Whether what was written and flushed is there after a power failure. */
  function survives(sabotages: string[], lostWriteBack = 0): boolean {
    const media = faultyMedia(memoryMedia(2 * MIB), { lostWriteBack });
    const { kernel, device } = rig({ sabotages }, { media });
    kernel.call(() => {
      device.write(0, pattern(64));
      device.flush();
      device.powerFail();
    });
    return onMedia(media, 0, 64).every((byte, i) => byte === pattern(64)[i]);
  }

  it('holds for what was flushed', () => {
    expect(survives([])).toBe(true);
  });

  it('would be lost if lines were only said to be written back (write-back-lost)', () => {
    expect(survives(['write-back-lost'])).toBe(false);
  });

  it('would be lost without the fence (flush-without-fence)', () => {
    expect(survives(['flush-without-fence'])).toBe(false);
  });

  it('would be lost by media that drop what they were given', () => {
    expect(survives([], 1)).toBe(false);
  });
});

describe('a task that is continued later', () => {
  it('gives each command to the media once', () => {
    const { kernel, device, media } = rig();
    const data = pattern(64);
    kernel.spawn('writer', () => {
      device.write(0, data);
      device.flush();
      kernel.sched.schedule();
      device.flush();
      kernel.sched.schedule();
    });
    kernel.spawn('other', () => kernel.sched.schedule());
    kernel.run();
    expect(media.counters).toMatchObject({ writes: 1, flushes: 2 });
  });
});

describe('detach', () => {
  it('refuses what comes later, and is done once', () => {
    const { kernel, device, media } = rig();
    kernel.call(() => device.detach());
    const { flushes } = media.counters;
    expect(kernel.call(() => device.read(0, new Uint8Array(8)))).toBe(-ENODEV);
    expect(kernel.call(() => device.write(0, new Uint8Array(8)))).toBe(-ENODEV);
    expect(kernel.call(() => device.flush())).toBe(-ENODEV);
    kernel.call(() => device.detach());
    expect(media.counters.flushes).toBe(flushes);
  });

  it('leaves a device that took the slot since alone', () => {
    const { kernel, device, driver } = rig();
    kernel.call(() => device.detach());
    const next = kernel.call(() => driver.attachDisk({ media: memoryMedia(2 * MIB) }));
    expect(next.id).toBe(device.id);
    kernel.call(() => device.detach());
    expect(kernel.call(() => device.read(0, new Uint8Array(8)))).toBe(-ENODEV);
    expect(kernel.call(() => next.read(0, new Uint8Array(8)))).toBe(0);
  });

  it('lets every store reach the media, as the caches do while the power stays on', () => {
    const { kernel, device, media } = rig({ sabotages: ['pmem-flag-not-set'] });
    kernel.call(() => kernel.machine.store32(device.address + 5 * MIB, 0x5a5a5a5a));
    kernel.call(() => device.detach());
    expect([...onMedia(media, 5 * MIB, 4)]).toEqual([0x5a, 0x5a, 0x5a, 0x5a]);
  });

  /** A detach while a task is between enter and exit of a read. */
  function detachUnderIo(sabotages: string[]): { status: number[]; log: string } {
    const { kernel, device } = rig({ sabotages });
    const status: number[] = [];
    const { machine } = kernel;
    const live = machine.columns.find((column) => column.field.name === 'request_queue.live');
    if (live === undefined) throw new Error('no such column');
    kernel.spawn('reader', () => {
      const id = kernel.module(daxModule).readLock();
      kernel.sched.sleepUntil(live, device.id, 0);
      machine.load32(device.address);
      kernel.module(daxModule).readUnlock(id);
      status.push(0);
    });
    kernel.spawn('unbind', () => device.detach());
    kernel.run();
    return { status, log: kernel.dmesg.join('\n') };
  }

  it('waits for those who use the memory', () => {
    const { status, log } = detachUnderIo([]);
    expect(status).toEqual([0]);
    expect(log).not.toContain('BUG');
  });

  it('would pull it away from under them in the wrong order (detach-unmaps-first)', () => {
    const { log } = detachUnderIo(['detach-unmaps-first']);
    expect(log).toContain('BUG: unable to handle page fault');
  });
});
