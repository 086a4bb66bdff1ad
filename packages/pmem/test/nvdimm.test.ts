// SPDX-License-Identifier: MIT
import { KernelError } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { type MemoryMedia, memoryMedia } from '../src/index.ts';
import { Nvdimm } from '../src/nvdimm.ts';
import { bootStack, MIB, onMedia } from './support.ts';

const GIB = 2 ** 30;
const plugged = (media: MemoryMedia) =>
  ({ physical: 4 * GIB, media, persistence: 'adr', onMediaError() {} }) as const;

describe('Nvdimm', () => {
  it('finds room behind RAM and every device, on boundaries of 1 GiB', () => {
    const kernel = bootStack({ modules: [] });
    const nvdimm = new Nvdimm(kernel, 16);
    expect(nvdimm.nextFree()).toBe(4 * GIB);
    nvdimm.plug(0, plugged(memoryMedia(GIB + 4096)));
    expect(nvdimm.nextFree()).toBe(6 * GIB);
    expect(nvdimm.slotAt(4 * GIB)).toBe(0);
    expect(() => nvdimm.checkFree(5 * GIB, 4096)).toThrow(KernelError);
    nvdimm.unplug(0);
    expect([nvdimm.nextFree(), nvdimm.slotAt(4 * GIB)]).toEqual([4 * GIB, -1]);
  });

  it('keeps stores when it is drained and drops them when the power fails', () => {
    const kernel = bootStack({ modules: [] });
    const { machine } = kernel;
    const nvdimm = new Nvdimm(kernel, 16);
    const media = memoryMedia(2 * MIB);
    nvdimm.plug(1, plugged(media));
    const store = (byte: number) => {
      const chunk = machine.memory.chunkAt(4 * GIB);
      machine.memory.markDirty(chunk, 0, 1);
      chunk.bytes[0] = byte;
    };
    store(1);
    nvdimm.discard(1);
    expect(machine.memory.chunkAt(4 * GIB).bytes[0]).toBe(0);
    store(2);
    nvdimm.drain(1);
    expect(onMedia(media, 0, 1)[0]).toBe(2);
    nvdimm.flush(1);
    expect(media.counters.flushes).toBe(1);
  });
});
