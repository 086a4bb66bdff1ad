// SPDX-License-Identifier: MIT
// A device that is larger than what may stay of it in host memory.

import { memremap } from '@pkslab/memremap';
import { describe, expect, it } from 'vitest';
import { memoryMedia, residentChunksFor, StoreLog } from '../src/index.ts';
import { MIB, onMedia, pattern, rig } from './support.ts';

const CHUNKS = 24;

function small(limit: number, sabotages: string[] = []) {
  const media = memoryMedia(CHUNKS * 2 * MIB);
  const it = rig({ sabotages }, { media });
  it.kernel.machine.memory.residentLimit = limit;
  return { ...it, media };
}

describe('a resident limit', () => {
  it('is counted in chunks of 2 MiB, at least one', () => {
    expect(residentChunksFor(512 * MIB)).toBe(256);
    expect(residentChunksFor(0)).toBe(1);
  });

  it.each([1, 2, 5])('of %i chunks holds while everything is written and read back', (limit) => {
    const { kernel, device } = small(limit);
    const { memory } = kernel.machine;
    const back = new Uint8Array(5000);
    kernel.call(() => {
      for (let i = 0; i < CHUNKS; i++) {
        device.write(i * 2 * MIB + i * 777, pattern(5000, i));
        expect(memory.residentChunks).toBeLessThanOrEqual(limit);
      }
      device.flush();
      for (let i = CHUNKS - 1; i >= 0; i--) {
        expect(device.read(i * 2 * MIB + i * 777, back)).toBe(0);
        expect(back).toEqual(pattern(5000, i));
        expect(memory.residentChunks).toBeLessThanOrEqual(limit);
      }
    });
  });

  it('loses no store of an evicted chunk, whether written back or not', () => {
    const { kernel, device, media } = small(2, ['pmem-flag-not-set']);
    const { machine } = kernel;
    kernel.call(() => {
      for (let i = 0; i < CHUNKS; i++) machine.store32(device.address + i * 2 * MIB + 4, i + 1);
      for (let i = 0; i < CHUNKS; i++) {
        expect(machine.load32(device.address + i * 2 * MIB + 4)).toBe(i + 1);
      }
    });
    expect(onMedia(media, 4, 1)[0]).toBe(0);
    kernel.call(() => {
      for (let i = 0; i < CHUNKS; i += 2) machine.clwb(device.address + i * 2 * MIB, 64);
      machine.sfence();
    });
    for (let i = 0; i < CHUNKS; i++) {
      expect(onMedia(media, i * 2 * MIB + 4, 1)[0]).toBe(i % 2 === 0 ? i + 1 : 0);
    }
    kernel.call(() => device.detach());
    for (let i = 0; i < CHUNKS; i++) expect(onMedia(media, i * 2 * MIB + 4, 1)[0]).toBe(i + 1);
  });

  it('forgets evicted stores in a power failure as it does resident ones', () => {
    const { kernel, device } = small(2, ['pmem-flag-not-set']);
    const { machine } = kernel;
    kernel.call(() => {
      for (let i = 0; i < CHUNKS; i++) machine.store32(device.address + i * 2 * MIB, 7);
      device.powerFail();
      for (let i = 0; i < CHUNKS; i++) {
        expect(machine.load32(device.address + i * 2 * MIB)).toBe(0);
      }
    });
  });

  it('keeps lines for a fence that failed, and writes them at the next', () => {
    const { kernel, device, media } = small(Number.POSITIVE_INFINITY);
    const write = media.write.bind(media);
    media.write = () => {
      throw new Error('the host is full');
    };
    kernel.call(() => device.write(0, pattern(64)));
    expect(kernel.call(() => device.flush())).toBe(-5);
    media.write = write;
    kernel.call(() => kernel.machine.sfence());
    expect(onMedia(media, 0, 64)).toEqual(pattern(64));
  });
});

describe('the memory of evicted chunks', () => {
  it('is used again: buffers are no more than the limit and two', () => {
    const { kernel, device } = small(2);
    const { memory } = kernel.machine;
    const buffers = new Set<ArrayBufferLike>();
    kernel.call(() => {
      for (let i = 0; i < 3 * CHUNKS; i++) {
        const at = (i % CHUNKS) * 2 * MIB;
        device.write(at, pattern(64, i));
        buffers.add(memory.chunkAt(device.physical + at).bytes.buffer);
      }
    });
    expect(buffers.size).toBeLessThanOrEqual(4);
  });

  it('shows nothing of the chunk that had it before', () => {
    const media = memoryMedia(CHUNKS * 2 * MIB + 4096);
    const { kernel, device } = rig({}, { media });
    kernel.machine.memory.residentLimit = 1;
    const full = new Uint8Array(2 * MIB).fill(0xff);
    kernel.call(() => {
      for (let i = 0; i < 4; i++) device.write(i * 2 * MIB, full);
    });
    const last = kernel.machine.memory.chunkAt(device.physical + CHUNKS * 2 * MIB);
    expect(last.bytes.every((byte) => byte === 0)).toBe(true);
    expect(last.dirty?.every((word) => word === 0)).toBe(true);
    expect(last.pending?.every((word) => word === 0)).toBe(true);
  });

  it('stays as it is while a copy reads it and brings in where it writes', () => {
    const { kernel, device } = small(1);
    const { access } = kernel.module(memremap);
    kernel.call(() => {
      for (let i = 0; i < CHUNKS; i++) device.write(i * 2 * MIB, pattern(4096, i));
    });
    kernel.call(() => {
      access.enable();
      for (let i = 0; i + 1 < CHUNKS; i += 2) {
        const from = device.address + i * 2 * MIB;
        kernel.machine.copy(from + 2 * MIB + 4096, from, 4096);
      }
      access.disable();
    });
    const back = new Uint8Array(4096);
    kernel.call(() => {
      for (let i = 0; i + 1 < CHUNKS; i += 2) {
        device.read((i + 1) * 2 * MIB + 4096, back);
        expect(back).toEqual(pattern(4096, i));
      }
    });
  });

  it('is left to a log of stores, which reads it later', () => {
    const { kernel, device } = small(1, ['pmem-flag-not-set']);
    const { machine } = kernel;
    const log = new StoreLog(machine.memory);
    kernel.call(() => {
      machine.store32(device.address, 7);
      for (let i = 1; i < 4; i++) machine.load32(device.address + i * 2 * MIB);
    });
    const [store] = log.events;
    expect(store?.kind === 'store' && store.bytes[0]).toBe(7);
  });
});
