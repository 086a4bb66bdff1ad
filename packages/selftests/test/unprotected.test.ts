// SPDX-License-Identifier: MIT
// The whole stack with a device key, on a CPU without PKS, and with every key taken: it works, and says what it lacks.

import { Fsdax, flatExtents, IovIter } from '@pkslab/dax';
import { type BootOptions, boot, type Kernel, type KernelModule, noChoices } from '@pkslab/kernel';
import { pksCore } from '@pkslab/pks-core';
import { memoryMedia, type PmemDevice, pmem } from '@pkslab/pmem';
import { CHUNK_SIZE, PAGE_SIZE } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { stackModules } from '../src/index.ts';
import { pattern } from '../src/programme/device-rig.ts';

/** Takes every key before memremap can have one. */
const greedy: KernelModule<null> = {
  name: 'greedy',
  ...noChoices,
  create(kernel: Kernel): null {
    kernel.initcall('arch', () => {
      for (let i = 0; i < 15; i++) kernel.module(pksCore).keys.alloc(`greedy ${i}`);
    });
    return null;
  },
};

const CASES: Readonly<Record<string, BootOptions>> = {
  'with a key': {},
  'without PKS': { features: { pks: false } },
  'with all keys taken': { modules: [greedy] },
};

const NO_KEY = 'memremap: [mem 0x100000000-0x1001fffff] is not protected: no protection key';

interface Attached {
  readonly kernel: Kernel;
  readonly device: PmemDevice;
  readonly onMedia: (offset: number, length: number) => Uint8Array;
}

function attached(options: BootOptions): Attached {
  const { modules = [] } = options;
  const all = [...stackModules.slice(0, 1), ...modules, ...stackModules.slice(1)];
  const kernel = boot({ cpus: 2, ...options, modules: all });
  const media = memoryMedia(CHUNK_SIZE);
  const device = kernel.call(() => kernel.module(pmem).attachDisk({ media }));
  const onMedia = (offset: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    media.read(offset, bytes);
    return bytes;
  };
  return { kernel, device, onMedia };
}

describe.each(Object.entries(CASES))('the stack %s', (name, options) => {
  const isProtected = name === 'with a key';

  it('boots, and says at attach whether the device is protected', () => {
    const { kernel, device } = attached(options);
    expect(device.pagemap.pkey === 0).toBe(!isProtected);
    expect(kernel.dmesg.filter((line) => line.includes('not protected'))).toEqual(
      isProtected ? [] : [NO_KEY],
    );
    const stray = kernel.call(() => !kernel.machine.tryStore32(device.address, 1));
    expect(stray).toBe(!isProtected);
  });

  it('reads and writes through the driver and fs/dax, over a power failure and a detach', () => {
    const { kernel, device, onMedia } = attached(options);
    const data = pattern(6000);
    const back = new Uint8Array(data.length);
    expect(kernel.call(() => device.write(100, data))).toBe(0);
    expect(kernel.call(() => device.read(100, back))).toBe(0);
    expect(back).toEqual(data);
    const fs = new Fsdax(kernel);
    const file = flatExtents(device.dax, [
      { offset: 0, length: 4 * PAGE_SIZE, address: 8 * PAGE_SIZE },
    ]);
    expect(kernel.call(() => fs.iomapRw(file, 50, IovIter.user(data), true))).toBe(6000);
    back.fill(0);
    expect(kernel.call(() => fs.iomapRw(file, 50, IovIter.user(back), false))).toBe(6000);
    expect(back).toEqual(data);
    kernel.call(() => device.flush());
    kernel.call(() => device.powerFail());
    expect(onMedia(100, 6000)).toEqual(data);
    expect(onMedia(8 * PAGE_SIZE + 50, 6000)).toEqual(data);
    kernel.call(() => device.detach());
    expect(kernel.dmesg.filter((line) => /BUG|WARN/.test(line))).toEqual([]);
  });
});

/** Where keys are constants nobody can take them all. */
const POSTED_CASES = (['rfc-v2', 'rfc-v3', 'v7', 'v10'] as const).flatMap((revision) =>
  Object.entries(CASES)
    .filter(([name]) => name !== 'with all keys taken' || revision.startsWith('rfc'))
    .map(([name, options]) => ({ revision, name, options })),
);

describe.each(POSTED_CASES)('$revision $name', ({ revision, name, options }) => {
  it('does its I/O, protects what it can, and says nothing about what it cannot', () => {
    const { kernel, device, onMedia } = attached({ ...options, revision });
    const isProtected = name === 'with a key';
    expect(device.pagemap.pkey === 0).toBe(!isProtected);
    expect(kernel.dmesg.filter((line) => line.includes('protected'))).toEqual([]);
    const data = pattern(6000);
    const back = new Uint8Array(data.length);
    expect(kernel.call(() => device.write(100, data))).toBe(0);
    expect(kernel.call(() => device.read(100, back))).toBe(0);
    expect(back).toEqual(data);
    kernel.call(() => device.flush());
    kernel.call(() => device.powerFail());
    expect(onMedia(100, 6000)).toEqual(data);
  });
});
