// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { memoryMedia } from '../src/index.ts';
import { onMedia, pattern } from './support.ts';

describe('memoryMedia', () => {
  it('reads as zero until written, also over what the buffer held', () => {
    const into = new Uint8Array(100).fill(7);
    memoryMedia(2 ** 30).read(2 ** 29, into);
    expect(into.every((byte) => byte === 0)).toBe(true);
  });

  it('takes memory only where something was written', () => {
    const media = memoryMedia(2 ** 40);
    media.write(2 ** 39 - 10, pattern(20));
    expect(media.allocatedBytes).toBe(2 * 65536);
    expect(onMedia(media, 2 ** 39 - 10, 20)).toEqual(pattern(20));
  });

  it('refuses sizes that are no whole pages, and ranges beyond its end', () => {
    for (const size of [0, -4096, 100, Number.NaN])
      expect(() => memoryMedia(size)).toThrow(RangeError);
    expect(() => memoryMedia(4096).write(4000, pattern(100))).toThrow('100 bytes at 4000');
  });

  it('counts what is done to it', () => {
    const media = memoryMedia(4096);
    media.write(0, pattern(64));
    media.read(0, new Uint8Array(128));
    media.flush();
    expect(media.counters).toEqual({
      reads: 1,
      writes: 1,
      flushes: 1,
      bytesRead: 128,
      bytesWritten: 64,
    });
  });
});
