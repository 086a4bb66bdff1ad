// SPDX-License-Identifier: MIT
import { EINVAL } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { REQ_FUA, REQ_PREFLUSH } from '../src/index.ts';
import { onMedia, pattern, rig } from './support.ts';

const segments = [{ buffer: pattern(512), offset: 0, length: 512 }];

describe('the attribute write_cache', () => {
  it('says write back at first, and what was written to it', () => {
    const { kernel, device } = rig();
    const found = kernel.call(() => {
      const shown = [device.writeCache];
      for (const text of ['write through\n', 'write back', 'none\n', 'write back\n']) {
        expect(device.storeWriteCache(text)).toBe(0);
        shown.push(device.writeCache);
      }
      return shown;
    });
    const [back, through] = ['write back\n', 'write through\n'];
    expect(found).toEqual([back, through, back, through, back]);
  });

  it.each(['', '1', 'back', 'Write back', ' write back', 'writeback'])(
    'refuses %j with EINVAL, and stays as it was',
    (text) => {
      const { kernel, device } = rig();
      expect(kernel.call(() => device.storeWriteCache(text))).toBe(-EINVAL);
      expect(kernel.call(() => device.writeCache)).toBe('write back\n');
    },
  );

  it('lets flushes, PREFLUSH and FUA reach the media, and with write through none of them', () => {
    const { kernel, device, media } = rig();
    const ask = (): void => {
      kernel.call(() => {
        device.flush();
        device.submitBio({ operation: 'flush', sector: 0, segments: [] });
        device.submitBio({ operation: 'write', sector: 0, flags: REQ_PREFLUSH, segments });
        device.submitBio({ operation: 'write', sector: 0, flags: REQ_FUA, segments });
      });
    };
    ask();
    expect(media.counters.flushes).toBe(4);
    kernel.call(() => device.storeWriteCache('write through'));
    ask();
    expect(media.counters.flushes).toBe(4);
    kernel.call(() => device.storeWriteCache('write back'));
    ask();
    expect(media.counters.flushes).toBe(8);
  });

  it('with write through leaves a FUA write to whoever saves the caches: a power failure drops it', () => {
    for (const [text, kept] of [
      ['write back', true],
      ['write through', false],
    ] as const) {
      const { kernel, device, media } = rig();
      kernel.call(() => {
        device.storeWriteCache(text);
        device.submitBio({ operation: 'write', sector: 0, flags: REQ_FUA, segments });
        device.powerFail();
      });
      expect(onMedia(media, 0, 512)).toEqual(kept ? pattern(512) : new Uint8Array(512));
    }
  });

  it('is write back again on the next device of the slot', () => {
    const { kernel, driver, device, media } = rig();
    const next = kernel.call(() => {
      device.storeWriteCache('write through');
      device.detach();
      return driver.attachDisk({ media });
    });
    expect(next.id).toBe(device.id);
    expect(kernel.call(() => next.writeCache)).toBe('write back\n');
  });
});
