// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { faultyMedia, memoryMedia } from '../src/index.ts';
import { onMedia, pattern } from './support.ts';

describe('faultyMedia', () => {
  it('drops one write of so many, and says nothing', () => {
    const media = faultyMedia(memoryMedia(4096), { lostWriteBack: 2 });
    media.write(0, pattern(8));
    media.write(64, pattern(8));
    expect(onMedia(media, 0, 8)).toEqual(pattern(8));
    expect(onMedia(media, 64, 8)).toEqual(new Uint8Array(8));
  });

  it('drops flushes', () => {
    const inner = memoryMedia(4096);
    faultyMedia(inner, { lostFlush: true }).flush();
    expect(inner.counters.flushes).toBe(0);
    faultyMedia(inner, {}).flush();
    expect(inner.counters.flushes).toBe(1);
  });
});
