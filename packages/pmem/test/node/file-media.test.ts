// SPDX-License-Identifier: MIT
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pmem } from '../../src/index.ts';
import {
  createImage,
  defaultPmemLimit,
  type FileMediaOptions,
  MediaError,
  openFileMedia,
} from '../../src/node/index.ts';
import { bootStack, MIB, onMedia, pattern } from '../support.ts';
import { deadPid, runFixture, temporaryFolder, withoutPrivileges } from './processes.ts';

let folder: ReturnType<typeof temporaryFolder>;
let image: string;

beforeEach(() => {
  folder = temporaryFolder();
  image = join(folder.path, 'disk.img');
});

afterEach(() => folder.remove());

function refusal(path: string, options: FileMediaOptions = {}): MediaError {
  try {
    openFileMedia(path, options).close();
  } catch (error) {
    if (error instanceof MediaError) return error;
    throw error;
  }
  throw new Error('it was opened');
}

describe('createImage', () => {
  it('makes a sparse file of zeroes', () => {
    createImage(image, 2 ** 30);
    const { size, blocks } = statSync(image);
    expect(size).toBe(2 ** 30);
    expect(blocks).toBeLessThan(100);
  });

  it.each([0, 100, -4096, 4097])('refuses a size of %i', (size) => {
    expect(() => createImage(image, size)).toThrow('not a positive multiple of 4096');
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('never touches a file that is there', () => {
    writeFileSync(image, 'mine');
    expect(() => createImage(image, 4096)).toThrow(MediaError);
    expect(readFileSync(image, 'utf8')).toBe('mine');
  });
});

describe('openFileMedia', () => {
  it('makes the image only if there is none', () => {
    const media = openFileMedia(image, { create: 8192 });
    media.write(0, pattern(64));
    media.close();
    const again = openFileMedia(image, { create: 4096 * 100 });
    expect(again.size).toBe(8192);
    expect(onMedia(again, 0, 64)).toEqual(pattern(64));
    again.close();
  });

  it('refuses a missing file, and says how to make one', () => {
    expect(refusal(image)).toMatchObject({ code: 'missing', errno: 2 });
    expect(refusal(image).message).toContain('createImage');
    expect(refusal(join(folder.path, 'no', 'disk.img'), { create: 4096 }).message).toContain(
      'no folder',
    );
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('refuses a folder', () => {
    mkdirSync(image);
    expect(refusal(image).code).toBe('notAFile');
  });

  it.each([0, 1, 4095, 10_000])('refuses a file of %i bytes and leaves it as it was', (size) => {
    writeFileSync(image, pattern(size));
    const before = statSync(image).mtimeMs;
    expect(refusal(image)).toMatchObject({ code: 'size', errno: 22 });
    expect(new Uint8Array(readFileSync(image))).toEqual(pattern(size));
    expect(statSync(image).mtimeMs).toBe(before);
    expect(readdirSync(folder.path)).toEqual(['disk.img']);
  });

  it('refuses a file that may not be written to, unless it is asked to read only', () => {
    writeFileSync(image, pattern(4096));
    chmodSync(image, 0o444);
    expect(refusal(image)).toMatchObject({ code: 'readOnly', errno: 30 });
    const media = openFileMedia(image, { readOnly: true });
    expect(onMedia(media, 0, 4096)).toEqual(pattern(4096));
    expect(() => media.write(0, pattern(64))).toThrow('opened read-only');
    media.flush();
    media.close();
    expect(new Uint8Array(readFileSync(image))).toEqual(pattern(4096));
  });

  it('makes a read-only pmem device of a read-only image', () => {
    writeFileSync(image, pattern(4096));
    const media = openFileMedia(image, { readOnly: true });
    const kernel = bootStack({ sabotages: ['pmem-flag-not-set'] });
    const device = kernel.call(() => kernel.module(pmem).attachDisk({ media }));
    expect(kernel.call(() => device.write(0, pattern(8)))).toBe(-30);
    kernel.call(() => kernel.machine.store32(device.address, 0));
    kernel.call(() => device.detach());
    media.close();
    expect(new Uint8Array(readFileSync(image))).toEqual(pattern(4096));
  });

  it('says so when it is used after it was closed, or when the file was cut', () => {
    const media = openFileMedia(image, { create: 8192 });
    truncateSync(image, 4096);
    expect(() => media.read(4000, new Uint8Array(200))).toThrow('ends at byte 4096');
    media.close();
    expect(() => media.read(0, new Uint8Array(1))).toThrow('was closed');
    expect(() => media.flush()).toThrow(MediaError);
  });
});

describe('a folder that may not be written to', () => {
  const locked = (): boolean => {
    const media = openFileMedia(image, { readOnly: true });
    const found = media.locked;
    media.close();
    return found;
  };
  const closed = (): void => chmodSync(folder.path, 0o555);

  afterEach(() => chmodSync(folder.path, 0o755));

  it('lets an image be read without a lock, and not be written to', async () => {
    createImage(image, 4096);
    expect(locked()).toBe(true);
    chmodSync(image, 0o666);
    closed();
    await withoutPrivileges(() => {
      expect(locked()).toBe(false);
      const { code, message } = refusal(image);
      expect([code, message]).toEqual(['host', expect.stringContaining('.lock (EACCES); put')]);
    });
    expect(readdirSync(folder.path)).toEqual(['disk.img']);
  });

  it('keeps nobody from looking whether somebody else has the image', async () => {
    createImage(image, 4096);
    const media = openFileMedia(image);
    closed();
    await withoutPrivileges(() => {
      expect(refusal(image, { readOnly: true })).toMatchObject({ code: 'inUse' });
    });
    chmodSync(folder.path, 0o755);
    media.close();
    writeFileSync(`${image}.lock`, JSON.stringify({ pid: deadPid(), startTime: 1, id: 'stale' }));
    closed();
    await withoutPrivileges(() => expect(locked()).toBe(false));
  });

  it('is what createImage complains of', async () => {
    closed();
    await withoutPrivileges(() => {
      const create = (): void => createImage(image, 4096);
      expect(create).toThrow('cannot make it (EACCES); choose a folder that you may write to');
      expect(create).not.toThrow('chmod');
    });
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

describe('an image that may not be read', () => {
  it('is refused with what to do', async () => {
    createImage(image, 4096);
    chmodSync(image, 0o200);
    chmodSync(folder.path, 0o755);
    await withoutPrivileges(() => {
      const { message } = refusal(image, { readOnly: true });
      expect(message).toContain('may not be read; chmod u+r it');
    });
    expect(readdirSync(folder.path)).toEqual(['disk.img']);
  });

  it('is none without a name', () => {
    expect(() => createImage('', 4096)).toThrow('has no name');
    expect(refusal('')).toMatchObject({ code: 'missing' });
  });
});

describe('a file through the whole stack', () => {
  it('holds what was fenced once the process is gone, and nothing else', () => {
    createImage(image, 4 * MIB);
    const { signal, stderr } = runFixture('write-and-die.mjs', image);
    expect([signal, stderr]).toEqual(['SIGKILL', '']);
    const media = openFileMedia(image);
    const firstBytes = [0, 4096, 8192].map((offset) => [...new Set(onMedia(media, offset, 4096))]);
    expect(firstBytes).toEqual([[1], [2], [0]]);
    media.close();
  });

  it('is the same file after attach, write, detach and attach', () => {
    const data = pattern(100_000);
    for (const write of [true, false]) {
      const media = openFileMedia(image, { create: 4 * MIB });
      const kernel = bootStack();
      const device = kernel.call(() => kernel.module(pmem).attachDisk({ media }));
      const back = new Uint8Array(data.length);
      kernel.call(() => (write ? device.write(2 * MIB - 5, data) : device.read(2 * MIB - 5, back)));
      kernel.call(() => device.detach());
      media.close();
      if (!write) expect(back).toEqual(data);
    }
  });
});

describe('defaultPmemLimit', () => {
  it('is a share of the memory that there is', () => {
    expect(defaultPmemLimit()).toBeGreaterThan(16 * MIB);
  });
});
