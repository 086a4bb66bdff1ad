// SPDX-License-Identifier: MIT
// Media whose host fails: an error of the device, and nothing of the kernel left half-done.

import { dax, IovIter } from '@pkslab/dax';
import { memremap } from '@pkslab/memremap';
import { ReportingBacking } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { BadBlocks } from '../src/bad-blocks.ts';
import { type Media, MediaLoss, memoryMedia, REQ_FUA, REQ_PREFLUSH } from '../src/index.ts';
import { MediaErrors } from '../src/media-errors.ts';
import { bootStack, MIB, onMedia, pattern, rig } from './support.ts';

const EIO = -5;
const SIZE = 8 * MIB;

interface Failing {
  readonly media: Media;
  readonly errors: unknown[];
  readonly whole: Media;
  reads: (offset: number) => boolean;
  writes: boolean;
  flushes: boolean;
}

/** Media that fail when told to: reads of the pages for which `reads` is false, writes, and flushes. */
function failing(): Failing {
  const whole = memoryMedia(SIZE);
  const it: Failing = {
    errors: [],
    whole,
    reads: () => true,
    writes: true,
    flushes: true,
    media: {
      size: SIZE,
      read(offset, into) {
        for (let at = offset; at < offset + into.length; at += 4096) {
          if (!it.reads(at)) throw new Error(`cannot read ${at}`);
        }
        whole.read(offset, into);
      },
      write(offset, bytes) {
        if (!it.writes) throw new Error('cannot write');
        whole.write(offset, bytes);
      },
      flush() {
        if (!it.flushes) throw new Error('cannot sync');
      },
      close() {},
    },
  };
  return it;
}

function attached(residentLimit = Number.POSITIVE_INFINITY) {
  const host = failing();
  const onMediaError = (error: unknown) => void host.errors.push(error);
  const stack = rig({}, { media: host.media, onMediaError });
  const { kernel, device } = stack;
  kernel.machine.memory.residentLimit = residentLimit;
  const { access } = kernel.module(memremap);
  return {
    ...stack,
    host,
    call: (work: () => number) => kernel.call(work),
    /** No window is left open, and a stray store is refused. */
    isClosed: () =>
      access.ref.get(kernel.tasks.current) === 0 &&
      kernel.call(() => kernel.machine.tryStore32(device.address + 4096, 0xdead)),
  };
}

const page = (byte: number) => new Uint8Array(4096).fill(byte);
const messages = (errors: readonly unknown[]) => errors.map((error) => (error as Error).message);

describe('media that cannot be read', () => {
  it('are -EIO where they fail, in the list of bad blocks, and read elsewhere in the chunk', () => {
    const { host, device, call, isClosed } = attached();
    host.whole.write(0, page(7));
    host.reads = (offset) => offset !== 8192;
    const into = new Uint8Array(4096);
    expect(call(() => device.read(8192, into))).toBe(EIO);
    expect(device.badBlocks).toEqual([{ sector: 16, count: 8 }]);
    expect(isClosed()).toBe(true);
    expect(call(() => device.read(0, into))).toBe(0);
    expect(into).toEqual(page(7));
    expect(messages(host.errors)).toEqual(['cannot read 8192']);
  });

  it('are -EIO for a read beside the bad page only where it reaches it', () => {
    const { host, device, call } = attached();
    host.reads = (offset) => offset !== 8192;
    const into = new Uint8Array(8192);
    expect(call(() => device.read(0, into))).toBe(0);
    expect(call(() => device.read(4096, into))).toBe(EIO);
  });

  it('take a write of whole sectors, which clears them, and refuse less', () => {
    const { host, device, call, isClosed } = attached();
    host.reads = (offset) => offset !== 0;
    expect(call(() => device.write(100, new Uint8Array(8)))).toBe(EIO);
    expect(call(() => device.write(0, page(3)))).toBe(0);
    expect(device.badBlocks).toEqual([]);
    const into = new Uint8Array(4096);
    expect(call(() => device.read(0, into))).toBe(0);
    expect(into).toEqual(page(3));
    expect(call(() => device.flush())).toBe(0);
    expect(onMedia(host.whole, 0, 4096)).toEqual(page(3));
    expect(isClosed()).toBe(true);
  });

  it('are readable between places that fail', () => {
    const { host, device, call } = attached();
    host.reads = (offset) => offset % 8192 === 0;
    const into = new Uint8Array(4096);
    const found = Array.from({ length: 512 }, (_, at) => call(() => device.read(at * 4096, into)));
    expect(found).toEqual(found.map((_, at) => (at % 2 === 0 ? 0 : EIO)));
  });

  it('are -EIO where the list of bad blocks is full, until it has room', () => {
    const { host, device, call } = attached();
    for (let at = 0; at < 512; at++) call(() => Number(device.addBadBlocks(4 * at + 8192, 1)));
    host.reads = (offset) => offset !== 8192;
    const into = new Uint8Array(4096);
    expect([call(() => device.read(8192, into)), call(() => device.read(8192, into))]).toEqual([
      EIO,
      EIO,
    ]);
    expect(device.badBlocks).toHaveLength(512);
    expect(call(() => device.write(8192 * 512, page(1)))).toBe(0);
    expect(call(() => device.read(8192, into))).toBe(EIO);
    expect(device.badBlocks[0]).toEqual({ sector: 16, count: 8 });
    expect(call(() => device.read(0, into))).toBe(0);
  });

  it('are -EIO for a copy by dax, too', () => {
    const { host, device, kernel } = attached();
    host.reads = (offset) => offset !== 4096;
    const iter = IovIter.user(new Uint8Array(4096));
    const address = device.address + 4096;
    const { access } = kernel.module(memremap);
    const copied = kernel.call(() => {
      access.enable();
      const bytes = kernel.module(dax).copyToIter(device.dax, 1, address, 4096, iter);
      access.disable();
      return bytes;
    });
    expect(copied).toBe(0);
    expect(device.badBlocks).toEqual([{ sector: 8, count: 8 }]);
  });
});

describe('reports', () => {
  it('of more places than there is room for make all between them bad, never too little', () => {
    const kernel = bootStack({ modules: [] });
    const errors = new MediaErrors(kernel, 1);
    const badBlocks = new BadBlocks(kernel, 1);
    for (let at = 0; at < 300; at++) errors.report(0, at * 8192, 4096);
    expect(errors.absorb(0, badBlocks)).toBe('listed');
    for (let at = 0; at < 300; at++) expect(badBlocks.check(0, at * 16 + 7, 1)).toBe(true);
    expect(badBlocks.check(0, 8, 8)).toBe(false);
    expect(errors.absorb(0, badBlocks)).toBe('nothing');
  });
});

describe('media that cannot be written', () => {
  it('make a flush -EIO, keep the bytes, and take them at the next flush', () => {
    const { host, device, call, isClosed } = attached();
    expect(call(() => device.write(0, page(5)))).toBe(0);
    host.writes = false;
    expect(call(() => device.flush())).toBe(EIO);
    expect(call(() => device.flush())).toBe(EIO);
    expect(isClosed()).toBe(true);
    const into = new Uint8Array(4096);
    expect(call(() => device.read(0, into))).toBe(0);
    expect(into).toEqual(page(5));
    host.writes = true;
    expect(call(() => device.flush())).toBe(0);
    expect(onMedia(host.whole, 0, 4096)).toEqual(page(5));
  });

  it('make a bio with FUA or PREFLUSH -EIO, and one without 0', () => {
    const { host, device, call } = attached();
    host.writes = false;
    const segments = [{ buffer: page(1), offset: 0, length: 4096 }];
    const bio = (flags: number) =>
      call(() => device.submitBio({ operation: 'write', sector: 0, flags, segments }));
    expect([bio(0), bio(REQ_FUA), bio(REQ_PREFLUSH)]).toEqual([0, EIO, EIO]);
    host.writes = true;
    expect([bio(REQ_PREFLUSH), bio(REQ_FUA)]).toEqual([0, 0]);
  });

  it('keep bytes of chunks that leave host memory meanwhile', () => {
    const { host, device, call } = attached(2);
    host.writes = false;
    for (let chunk = 0; chunk < 4; chunk++) {
      expect(call(() => device.write(chunk * 2 * MIB, pattern(4096, chunk)))).toBe(0);
      expect(call(() => device.flush())).toBe(EIO);
    }
    host.writes = true;
    expect(call(() => device.flush())).toBe(0);
    for (let chunk = 0; chunk < 4; chunk++) {
      expect(onMedia(host.whole, chunk * 2 * MIB, 4096)).toEqual(pattern(4096, chunk));
    }
  });

  it('are no matter of another device', () => {
    const { host, device, driver, call, kernel } = attached();
    const other = memoryMedia(SIZE);
    const second = kernel.call(() => driver.attachDisk({ media: other }));
    host.writes = false;
    call(() => device.write(0, page(1)));
    call(() => second.write(0, page(2)));
    expect([call(() => second.flush()), call(() => device.flush())]).toEqual([0, EIO]);
    expect(onMedia(other, 0, 4096)).toEqual(page(2));
  });

  it('are told of at the detach, if they never took the bytes', () => {
    const { host, device, kernel, call } = attached();
    call(() => device.write(0, page(5)));
    host.writes = false;
    kernel.call(() => device.detach());
    expect(host.errors.at(-1)).toBeInstanceOf(MediaLoss);
    expect(kernel.machine.memory.regions).toEqual([]);
  });

  it('and are not, if they took them in the end', () => {
    const { host, device, kernel, call } = attached();
    call(() => device.write(0, page(5)));
    host.writes = false;
    call(() => device.flush());
    host.writes = true;
    kernel.call(() => device.detach());
    expect(messages(host.errors)).toEqual(['cannot write']);
    expect(onMedia(host.whole, 0, 4096)).toEqual(page(5));
  });
});

describe('media that cannot be flushed', () => {
  it('make every later flush -EIO too: what they lost is not known', () => {
    const { host, device, kernel, call } = attached();
    call(() => device.write(0, page(5)));
    host.flushes = false;
    expect(call(() => device.flush())).toBe(EIO);
    host.flushes = true;
    expect(call(() => device.flush())).toBe(EIO);
    kernel.call(() => device.detach());
    expect(host.errors.at(-1)).toBeInstanceOf(MediaLoss);
  });
});

describe('media that throw into an operation', () => {
  it('leave a window open and a request that never ends: what the backing is for', () => {
    const { read } = ReportingBacking.prototype;
    const { host, device, kernel, isClosed } = attached();
    ReportingBacking.prototype.read = (offset, into) => host.media.read(offset, into);
    try {
      host.reads = () => false;
      expect(() => kernel.call(() => device.read(0, page(0)))).toThrow('cannot read 0');
      host.reads = () => true;
      expect(isClosed()).toBe(false);
      expect(() => kernel.call(() => device.detach())).toThrow();
    } finally {
      ReportingBacking.prototype.read = read;
    }
  });
});
