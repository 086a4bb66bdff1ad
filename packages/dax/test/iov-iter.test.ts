// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { IovIter } from '../src/index.ts';
import { locked, PAGES, ramPage, rig } from './support.ts';

describe('IovIter', () => {
  it('walks through a part of a user buffer', () => {
    const it = rig();
    const { machine } = it.kernel;
    const buffer = Uint8Array.from([1, 2, 3, 4, 5, 6]);
    const iter = IovIter.user(buffer, 1, 4);
    const copied = locked(it, () => {
      const first = iter.copyFromFlushcache(machine, it.pagemap.address, 3);
      return [first, iter.copyFromFlushcache(machine, it.pagemap.address + 3, 3)];
    });
    expect(copied).toEqual([3, 1]);
    expect(iter.remaining).toBe(0);
    const back = new Uint8Array(4);
    locked(it, () => IovIter.user(back).copyTo(machine, it.pagemap.address, 4));
    expect([...back]).toEqual([2, 3, 4, 5]);
  });

  it('copies to and from kernel memory', () => {
    const it = rig();
    const { machine, mm } = it.kernel;
    const page = mm.directAddress(ramPage(it.kernel) * 4096);
    const value = locked(it, () => {
      machine.store32(page, 0x1234);
      IovIter.kernel(page, 4).copyFromFlushcache(machine, it.pagemap.address, 4);
      IovIter.kernel(page + 8, 4).copyTo(machine, it.pagemap.address, 4);
      return machine.load32(page + 8);
    });
    expect(value).toBe(0x1234);
  });

  it('stops at memory that it may not touch', () => {
    const it = rig();
    const iter = IovIter.user(new Uint8Array(8));
    const copied = it.kernel.call(() => iter.copyTo(it.kernel.machine, it.pagemap.address, 8));
    expect([copied, iter.remaining]).toEqual([0, 8]);
  });

  it.each(['user', 'kernel'] as const)(
    'copies the pages before the one that is refused, as memcpy_mcsafe does: %s memory',
    (kind) => {
      const it = rig();
      const { machine, mm } = it.kernel;
      const end = it.pagemap.address + PAGES * 4096;
      const room = 3 * 4096;
      const memory = it.kernel.call(() => mm.vmalloc(room, { key: 0, writable: true }));
      const buffer = new Uint8Array(room).fill(5);
      const iter = (): IovIter =>
        kind === 'user' ? IovIter.user(buffer) : IovIter.kernel(memory, room);
      const results = locked(it, () => {
        machine.fill(memory, 5, room);
        const writing = iter();
        const written = writing.copyFromFlushcache(machine, end - 5000, room);
        machine.sfence();
        return [written, writing.remaining, iter().copyTo(machine, end - 5000, room)];
      });
      expect(results).toEqual([5000, room - 5000, 5000]);
      // And what was written is on its way to the media.
      expect(it.written).toEqual([[PAGES * 4096 - 5056, 5056]]);
    },
  );

  it('puts what it writes on its way to the media', () => {
    const it = rig();
    const { machine } = it.kernel;
    const bytes = new Uint8Array(100).fill(9);
    locked(it, () => {
      IovIter.user(bytes).copyFromFlushcache(machine, it.pagemap.address + 4096, 100);
      machine.sfence();
    });
    expect(it.written).toEqual([[4096, 128]]);
  });
});
