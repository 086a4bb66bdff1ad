// SPDX-License-Identifier: MIT
// What a power failure leaves of a device that is in use: what was fenced (ADR), or every store (eADR).

import { dax } from '@pkslab/dax';
import { EINVAL } from '@pkslab/kernel';
import { memremap } from '@pkslab/memremap';
import { describe, expect, it } from 'vitest';
import {
  faultyMedia,
  type Media,
  memoryMedia,
  type PmemDevice,
  REQ_FUA,
  REQ_PREFLUSH,
} from '../src/index.ts';
import { MIB, onMedia, pattern, type Rig, rig } from './support.ts';

const segments = [{ buffer: pattern(512), offset: 0, length: 512 }];

/** Stores 4 bytes through the driver's mapping, and does nothing for them. */
function storeOnly({ kernel, device }: Rig, offset: number): void {
  const { access } = kernel.module(memremap);
  kernel.call(() => {
    access.enable();
    kernel.machine.store32(device.address + offset, 0x5a5a_5a5a);
    access.disable();
  });
}

/** What of three kinds of stores is there after a power failure, on the media and through the device. */
function survivors(it: Rig): { readonly media: boolean[]; readonly device: boolean[] } {
  const { kernel, device, media } = it;
  storeOnly(it, 0);
  kernel.call(() => {
    device.write(4096, pattern(512)); // written back, not fenced
    device.write(8192, pattern(512));
    device.submitBio({ operation: 'write', sector: 40, flags: REQ_FUA, segments });
  });
  storeOnly(it, MIB);
  kernel.call(() => device.powerFail());
  const offsets = [0, 4096, 8192, 40 * 512, MIB];
  const read = (offset: number): boolean => {
    const back = new Uint8Array(4);
    kernel.call(() => device.read(offset, back));
    return back.some((byte) => byte !== 0);
  };
  return {
    media: offsets.map((at) => onMedia(media, at, 4).some((byte) => byte !== 0)),
    device: offsets.map(read),
  };
}

describe('a power failure', () => {
  it('leaves what was fenced, where only the memory controller is saved (ADR)', () => {
    const left = [false, true, true, true, false];
    expect(survivors(rig())).toEqual({ media: left, device: left });
    expect(survivors(rig({}, { persistence: 'adr' }))).toEqual({ media: left, device: left });
  });

  it('leaves every store, where the caches are saved too (eADR)', () => {
    const all = [true, true, true, true, true];
    expect(survivors(rig({}, { persistence: 'eadr' }))).toEqual({ media: all, device: all });
    expect(survivors(rig({}, { persistence: 'eadr', mode: 'raw' }))).toEqual({
      media: all,
      device: all,
    });
  });

  it('leaves nothing of an eADR device whose platform does not keep its word', () => {
    // As eADR in every respect but one: an ADR device whose flushes nobody sends.
    const adr = rig();
    adr.kernel.call(() => adr.device.storeWriteCache('write through'));
    expect(survivors(adr).media).toEqual([false, false, false, false, false]);
    const inner = memoryMedia(8 * MIB);
    const media: Media = faultyMedia(inner, { lostWriteBack: 1 });
    const it = { ...rig({}, { persistence: 'eadr', media }), media: inner };
    const { media: onIt, device } = survivors(it);
    expect([...onIt, ...device]).not.toContain(true);
  });

  it('changes nothing on media that may not be written to', () => {
    const media = memoryMedia(8 * MIB);
    const it = rig({}, { persistence: 'eadr', media: { ...readOnlyView(media) } });
    storeOnly(it, 0);
    it.kernel.call(() => it.device.powerFail());
    expect(media.counters.writes).toBe(0);
  });

  it('concerns no other device', () => {
    const first = rig({}, { persistence: 'eadr' });
    const { kernel, driver } = first;
    const media = memoryMedia(8 * MIB);
    const device = kernel.call(() => driver.attachDisk({ media }));
    expect(survivors({ ...first, device, media }).media).toContain(false);
    expect(survivors(first).media).not.toContain(false);
  });
});

describe('a device whose caches are saved', () => {
  const cached = (device: PmemDevice, { kernel }: Rig): boolean =>
    kernel.call(() => kernel.module(dax).writeCacheEnabled(device.dax));

  it('has no write cache, for the block layer and for dax (nvdimm_has_cache)', () => {
    for (const [persistence, text, on] of [
      ['adr', 'write back\n', true],
      ['eadr', 'write through\n', false],
    ] as const) {
      const it = rig({}, { persistence });
      expect(it.device.persistence).toBe(persistence);
      expect(it.kernel.call(() => it.device.writeCache)).toBe(text);
      expect(cached(it.device, it)).toBe(on);
    }
  });

  it('gets no flushes, PREFLUSH or FUA, and dax_flush writes nothing back', () => {
    const it = rig({}, { persistence: 'eadr' });
    const { kernel, device, media } = it;
    storeOnly(it, 0);
    kernel.call(() => {
      device.flush();
      device.submitBio({ operation: 'flush', sector: 0, segments: [] });
      device.submitBio({ operation: 'write', sector: 8, flags: REQ_PREFLUSH | REQ_FUA, segments });
      kernel.module(dax).flush(device.dax, device.address, 64);
      kernel.machine.sfence();
    });
    expect(media.counters.flushes).toBe(0);
    expect(onMedia(media, 0, 4)).toEqual(new Uint8Array(4));
    // The driver's own write-back is in its copy (memcpy_flushcache), whatever the platform saves.
    expect(onMedia(media, 4096, 512)).toEqual(pattern(512));
  });

  it('is followed in its slot by what the next one is', () => {
    const { kernel, driver, device, media } = rig({}, { persistence: 'eadr' });
    const next = kernel.call(() => {
      device.detach();
      return driver.attachDisk({ media });
    });
    expect(next.id).toBe(device.id);
    expect(kernel.call(() => next.writeCache)).toBe('write back\n');
  });

  it('is not made by a word that is none', () => {
    const attach = (): unknown => rig({}, { persistence: 'eADR' as 'eadr' });
    expect(attach).toThrow(expect.objectContaining({ errno: EINVAL }));
    expect(attach).toThrow("pmem: persistence 'eADR'; give adr or eadr");
  });
});

function readOnlyView(media: Media): Media {
  return {
    size: media.size,
    readOnly: true,
    read: (offset, into) => media.read(offset, into),
    write: (offset, bytes) => media.write(offset, bytes),
    flush: () => media.flush(),
    close: () => {},
  };
}
