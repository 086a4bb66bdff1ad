// SPDX-License-Identifier: MIT
// Requests that fail on the way: bad blocks, memory that is refused, read-only devices, devices that go.

import { EIO, ENODEV, EROFS } from '@pkslab/kernel';
import { memremap } from '@pkslab/memremap';
import { describe, expect, it } from 'vitest';
import { type Bio, type BioOperation, REQ_FUA, REQ_PREFLUSH } from '../src/index.ts';
import { onMedia, pattern, type Rig, rig } from './support.ts';

const buffers = (...parts: Uint8Array[]) =>
  parts.map((buffer) => ({ buffer, offset: 0, length: buffer.length }));

function submit({ kernel, device }: Rig, bio: Bio): number {
  return kernel.call(() => device.submitBio(bio));
}

function write(it: Rig, sector: number, bytes: Uint8Array, flags = 0): number {
  return submit(it, { operation: 'write', sector, flags, segments: buffers(bytes) });
}

describe('a bio that meets a bad block', () => {
  it('delivers the segments before it, and is an error', () => {
    const it = rig();
    write(it, 0, pattern(4096));
    it.device.addBadBlocks(3, 1);
    const [first, second] = [new Uint8Array(1024), new Uint8Array(1024)];
    const segments = buffers(first, second);
    expect(submit(it, { operation: 'read', sector: 0, segments })).toBe(-EIO);
    expect(first).toEqual(pattern(4096).subarray(0, 1024));
    expect(second.every((byte) => byte === 0)).toBe(true);
  });

  it('clears, as a write, the sectors that it covers, and no more', () => {
    const it = rig();
    it.device.addBadBlocks(8, 8);
    expect(write(it, 10, pattern(1024))).toBe(0);
    expect(it.device.badBlocks).toEqual([
      { sector: 8, count: 2 },
      { sector: 12, count: 4 },
    ]);
    const back = new Uint8Array(1024);
    expect(submit(it, { operation: 'read', sector: 10, segments: buffers(back) })).toBe(0);
    expect(back).toEqual(pattern(1024));
    expect(submit(it, { operation: 'read', sector: 9, segments: buffers(back) })).toBe(-EIO);
  });

  it('clears them by zeroes and from a page of RAM too', () => {
    const it = rig();
    const { kernel, device } = it;
    device.addBadBlocks(0, 16);
    const zeroes = { operation: 'writeZeroes', sector: 0, segments: buffers(new Uint8Array(4096)) };
    expect(submit(it, zeroes as Bio)).toBe(0);
    const pfn = kernel.call(() => kernel.mm.allocPage()) / 4096;
    const segments = [{ pfn, offset: 0, length: 4096 }];
    expect(submit(it, { operation: 'read', sector: 8, segments })).toBe(-EIO);
    expect(submit(it, { operation: 'write', sector: 8, segments })).toBe(0);
    expect(device.badBlocks).toEqual([]);
    expect(submit(it, { operation: 'read', sector: 8, segments })).toBe(0);
  });

  it('is cleared durably: what was written is on the media with FUA', () => {
    const it = rig();
    it.device.addBadBlocks(0, 1);
    expect(write(it, 0, pattern(512), REQ_FUA)).toBe(0);
    it.kernel.call(() => it.device.powerFail());
    expect(onMedia(it.media, 0, 512)).toEqual(pattern(512));
  });
});

describe('memory that refuses the copy', () => {
  it('is an error of a read, by its exception table, into a buffer and into RAM', () => {
    const it = rig({ sabotages: ['pmem-hook-removed'] });
    const { kernel, device } = it;
    const pfn = kernel.call(() => kernel.mm.allocPage()) / 4096;
    expect(kernel.call(() => device.read(0, new Uint8Array(64)))).toBe(-EIO);
    const segments = [{ pfn, offset: 0, length: 512 }];
    expect(submit(it, { operation: 'read', sector: 0, segments })).toBe(-EIO);
    expect(kernel.dmesg.some((line) => line.includes('BUG'))).toBe(false);
    expect(kernel.module(memremap).access.ref.values.every((count) => count === 0)).toBe(true);
  });

  it('flushes all the same where the bio has FUA, as the driver does after an error', () => {
    const it = rig();
    write(it, 8, pattern(512));
    it.device.addBadBlocks(0, 1);
    const { flushes } = it.media.counters;
    const segments = buffers(new Uint8Array(512));
    expect(submit(it, { operation: 'read', sector: 0, flags: REQ_FUA, segments })).toBe(-EIO);
    expect(it.media.counters.flushes).toBe(flushes + 1);
    expect(onMedia(it.media, 4096, 512)).toEqual(pattern(512));
  });
});

describe('a read-only device', () => {
  it.each<[BioOperation, number]>([
    ['write', -EROFS],
    ['writeZeroes', -EROFS],
    ['read', 0],
    ['flush', 0],
  ])('%s is %i, and changes nothing', (operation, status) => {
    const it = rig({}, { readOnly: true });
    const segments = operation === 'flush' ? [] : buffers(pattern(512));
    const flags = REQ_PREFLUSH | REQ_FUA;
    expect(submit(it, { operation, sector: 0, flags, segments })).toBe(status);
    expect(it.media.counters.writes).toBe(0);
    expect(onMedia(it.media, 0, 512).every((byte) => byte === 0)).toBe(true);
  });
});

describe('a device that is being detached', () => {
  /** A write that is preempted inside the device, where the detach begins; its status, and what the log says. */
  function writeUnderDetach(sabotages: string[]): { status: number[]; broke: boolean; it: Rig } {
    const it = rig({ sabotages });
    const { kernel, device } = it;
    // kmap_atomic, which a page of RAM would need, is never preempted.
    const segments = buffers(new Uint8Array(4096));
    const status: number[] = [];
    kernel.call(() => {
      kernel.spawn('writer', () => {
        status[0] = device.submitBio({ operation: 'writeZeroes', sector: 0, segments });
      });
      kernel.spawn('unbind', () => device.detach());
    });
    let preempted = false;
    kernel.runner.attach({
      boundary(runner, _kind, column) {
        const { field } = kernel.machine.columns[column] ?? {};
        if (preempted || field?.name !== 'badblocks.used') return;
        preempted = true;
        kernel.preempt.needResched.column.poke(0, 1);
        runner.interrupt(0xfd);
      },
    });
    kernel.run();
    kernel.runner.attach(null);
    return { status, broke: kernel.dmesg.some((line) => line.includes('BUG')), it };
  }

  it('lets a bio that is under way finish, and ends later ones with ENODEV', () => {
    const { status, broke, it } = writeUnderDetach([]);
    expect([status[0], broke]).toEqual([0, false]);
    expect(write(it, 0, new Uint8Array(512))).toBe(-ENODEV);
  });

  it('would be unmapped under the bio in the wrong order (detach-unmaps-first)', () => {
    const { status, broke } = writeUnderDetach(['detach-unmaps-first']);
    expect([status[0], broke]).toEqual([undefined, true]);
  });
});
