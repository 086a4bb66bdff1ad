// SPDX-License-Identifier: MIT
import { EINVAL, EIO, EOPNOTSUPP, EROFS, KernelError } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { type Bio, REQ_FUA, REQ_PREFLUSH } from '../src/index.ts';
import { MIB, onMedia, pattern, rig } from './support.ts';

const buffers = (...parts: Uint8Array[]) =>
  parts.map((buffer) => ({ buffer, offset: 0, length: buffer.length }));

describe('submitBio', () => {
  it('carries segments one after another', () => {
    const { kernel, device } = rig();
    const back = new Uint8Array(1536);
    const status = kernel.call(() => [
      device.submitBio({
        operation: 'write',
        sector: 7,
        segments: buffers(pattern(512, 1), pattern(1024, 2)),
      }),
      device.submitBio({ operation: 'read', sector: 7, segments: buffers(back) }),
    ]);
    expect(status).toEqual([0, 0]);
    expect(back).toEqual(Uint8Array.from([...pattern(512, 1), ...pattern(1024, 2)]));
  });

  it('carries pages of RAM by their pfn, and of another pmem device', () => {
    const { kernel, device } = rig();
    const { machine, mm } = kernel;
    const pfn = kernel.call(() => mm.allocPage() / 4096);
    const page = mm.directAddress(pfn * 4096);
    const segments = [{ pfn, offset: 512, length: 1024 }];
    const value = kernel.call(() => {
      machine.store32(page + 512, 0xabcd);
      device.submitBio({ operation: 'write', sector: 100, segments });
      machine.store32(page + 512, 0);
      device.submitBio({ operation: 'read', sector: 100, segments });
      return machine.load32(page + 512);
    });
    expect(value).toBe(0xabcd);
    const own = [{ pfn: device.physical / 4096 + 12, offset: 2048, length: 512 }];
    expect(
      kernel.call(() => device.submitBio({ operation: 'write', sector: 0, segments: own })),
    ).toBe(0);
    const back = new Uint8Array(4);
    kernel.call(() => device.read(0, back));
    expect([...back]).toEqual([0xcd, 0xab, 0, 0]);
    expect(kernel.preempt.count.read()).toBe(0);
  });

  it('writes zeroes without data', () => {
    const { kernel, device } = rig();
    const back = new Uint8Array(1024);
    const room = [{ buffer: new Uint8Array(0), offset: 0, length: 512 }];
    kernel.call(() => {
      device.write(0, pattern(1024));
      device.submitBio({ operation: 'writeZeroes', sector: 0, segments: room });
      device.read(0, back);
    });
    expect(back.subarray(0, 512).every((byte) => byte === 0)).toBe(true);
    expect(back.subarray(512)).toEqual(pattern(1024).subarray(512));
  });

  it.each<[string, Partial<Bio>, number, number]>([
    ['none without flags', {}, 0, 0],
    ['one before the data with REQ_PREFLUSH', { flags: REQ_PREFLUSH }, 1, 0],
    ['one after the data with REQ_FUA', { flags: REQ_FUA }, 1, 1],
    ['two with both', { flags: REQ_PREFLUSH | REQ_FUA }, 2, 1],
  ])('flushes as the flags say: %s', (_what, extra, flushes, writes) => {
    const { kernel, device, media } = rig();
    const bio: Bio = { operation: 'write', sector: 0, segments: buffers(pattern(512)), ...extra };
    expect(kernel.call(() => device.submitBio(bio))).toBe(0);
    expect(media.counters).toMatchObject({ flushes, writes });
  });

  it('makes what was written before durable with an empty flush', () => {
    const { kernel, device, media } = rig();
    kernel.call(() => {
      device.write(0, pattern(512));
      device.submitBio({ operation: 'flush', sector: 0, segments: [] });
    });
    expect(onMedia(media, 0, 512)).toEqual(pattern(512));
  });

  it.each<[string, Partial<Bio>, number]>([
    ['a discard', { operation: 'discard' }, -EOPNOTSUPP],
    ['half a sector', { segments: buffers(pattern(256)) }, -EINVAL],
    ['a range beyond the end', { sector: (8 * MIB) / 512 }, -EIO],
  ])('refuses %s', (_what, extra, status) => {
    const { kernel, device } = rig();
    const bio: Bio = { operation: 'write', sector: 0, segments: buffers(pattern(512)), ...extra };
    expect(kernel.call(() => device.submitBio(bio))).toBe(status);
  });

  const part = (offset: number, length: number) => [{ buffer: pattern(4096), offset, length }];
  const page = (pfn: number, offset: number, length: number) => [{ pfn, offset, length }];
  const good = part(0, 512);

  it.each<[string, Partial<Bio>, string]>([
    ['past its buffer', { segments: part(4000, 512) }, 'its buffer has 4096 bytes'],
    ['from before its buffer', { segments: part(-512, 512) }, 'give whole numbers'],
    ['of less than nothing', { segments: [...good, ...part(0, -512)] }, 'give whole numbers'],
    ['of half a byte', { segments: [...part(0, 0.5), ...part(0, 511.5)] }, 'give whole numbers'],
    ['of no number of bytes', { segments: part(0, Number.NaN) }, 'give whole numbers'],
    ['past its page', { segments: page(5, 4000, 512) }, 'a page has 4096 bytes'],
    ['of a page that is none', { segments: page(-1, 0, 512) }, 'pfn -1 is no page'],
    ['of half a pfn', { segments: page(0.5, 0, 512) }, 'pfn 0.5 is no page'],
    ['with data to flush', { operation: 'flush', segments: good }, 'a flush has no data'],
    [
      'that asks for something else',
      { operation: 'wr' as 'write' },
      "operation 'wr'; give one of read, write, flush, writeZeroes, discard",
    ],
  ])('refuses a segment or bio %s before it does anything', (_what, extra, why) => {
    const { kernel, device, media } = rig();
    const before = pattern(4096, 9);
    kernel.call(() => device.write(0, before));
    const bio: Bio = {
      ...{ operation: 'write', sector: 0, flags: REQ_PREFLUSH | REQ_FUA },
      ...{ segments: good, ...extra },
    };
    const submit = () => kernel.call(() => device.submitBio(bio));
    expect(submit).toThrow(KernelError);
    expect(submit).toThrow(why);
    const back = new Uint8Array(4096);
    kernel.call(() => device.read(0, back));
    expect(back).toEqual(before);
    expect(media.counters.flushes).toBe(0);
    // Nobody is left inside the queue, which a detach would wait for.
    kernel.call(() => device.detach());
  });

  it('refuses a sector that is no whole number, and one before the start, as it does one past the end', () => {
    const { kernel, device } = rig();
    const at = (sector: number) =>
      kernel.call(() => device.submitBio({ operation: 'write', sector, segments: good }));
    expect([at(Number.NaN), at(0.5), at(-1)]).toEqual([-EINVAL, -EINVAL, -EIO]);
  });

  it('refuses writes to a read-only device and serves reads', () => {
    const { kernel, device } = rig({}, { readOnly: true });
    const segments = buffers(new Uint8Array(512));
    const write = kernel.call(() => device.submitBio({ operation: 'write', sector: 0, segments }));
    const read = kernel.call(() => device.submitBio({ operation: 'read', sector: 0, segments }));
    expect([write, read]).toEqual([-EROFS, 0]);
  });
});
