// SPDX-License-Identifier: MIT
import { dax } from '@pkslab/dax';
import { EBUSY, EINVAL, ENOMEM, ENOSPC, KernelError } from '@pkslab/kernel';
import { memremap, PGMAP_PROT_ENABLED } from '@pkslab/memremap';
import { describe, expect, it } from 'vitest';
import { MemoryMedia, memoryMedia, PMEM_DEVICES_MAX, pmem } from '../src/index.ts';
import { bootStack, MIB, onMedia, pattern, rig } from './support.ts';

const GIB = 2 ** 30;

function errnoOf(work: () => unknown): number {
  try {
    work();
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
  return 0;
}

describe('attachDisk', () => {
  it.each(['reference', 'rfc-v2'] as const)(
    'protects the pages with the device key in %s',
    (revision) => {
      const { kernel, device } = rig({ revision });
      expect(device.pagemap.pkey).toBe(1);
      expect(device.physical).toBe(4 * GIB);
      const { pagemaps } = kernel.module(memremap);
      expect(pagemaps.flags.get(device.pagemap.id) & PGMAP_PROT_ENABLED).not.toBe(0);
      expect(kernel.call(() => pagemaps.pageIsAccessProtected(device.physical / 4096))).toBe(true);
    },
  );

  it('announces the device in the log and makes a dax device of the same name', () => {
    const { kernel, device } = rig();
    expect(kernel.dmesg).toContain('pmem0: detected capacity change from 0 to 8388608');
    expect(kernel.module(dax).getByHost('pmem0')).toBe(device.dax);
  });

  it('puts a second device behind the first', () => {
    const { kernel, driver } = rig();
    const second = kernel.call(() => driver.attachDisk({ media: memoryMedia(2 * MIB) }));
    expect([second.name, second.physical]).toEqual(['pmem1', 5 * GIB]);
  });

  it('maps a raw namespace without struct pages and without protection, as the series does', () => {
    const { kernel, device } = rig({}, { mode: 'raw' });
    expect(device.pagemap).toMatchObject({ id: -1, pkey: 0 });
    expect(kernel.call(() => kernel.machine.tryStore32(device.address, 1))).toBe(false);
    const back = new Uint8Array(100);
    kernel.call(() => {
      device.write(5, pattern(100));
      device.read(5, back);
    });
    expect(back).toEqual(pattern(100));
    kernel.call(() => device.detach());
    expect(kernel.call(() => kernel.machine.tryStore32(device.address, 1))).toBe(true);
  });

  it.each(['fsdax', 'raw'] as const)(
    'of a %s namespace gives everything back, whichever step has no room under the device',
    (mode) => {
      for (let room = 0; room < 4; room++) {
        const { kernel, driver } = rig();
        const { devres } = kernel.module(memremap);
        const nothing = devres.register(() => {});
        const request = { media: memoryMedia(2 * MIB), mode };
        const attach = (): number => errnoOf(() => kernel.call(() => driver.attachDisk(request)));
        kernel.call(() => {
          for (let i = room; i < 8; i++) devres.addAction(1, nothing);
        });
        expect(attach()).toBe(ENOMEM);
        expect(kernel.machine.memory.regions).toHaveLength(1);
        kernel.call(() => devres.releaseAll(1));
        expect(attach()).toBe(0);
      }
    },
  );

  it('takes 16 GiB of untouched media in no memory worth naming', () => {
    const kernel = bootStack();
    const media = memoryMedia(16 * GIB);
    const device = kernel.call(() => kernel.module(pmem).attachDisk({ media }));
    const back = new Uint8Array(4096);
    kernel.call(() => device.read(16 * GIB - 4096, back));
    expect(kernel.machine.memory.residentChunks).toBe(1);
    expect(media.allocatedBytes).toBe(0);
  });

  it.each(['fsdx', 'FSDAX', '', 'devdax'])(
    'refuses the mode %j, and says which there are',
    (mode) => {
      const { kernel, driver } = rig();
      const request = { media: memoryMedia(2 * MIB), mode: mode as 'raw' };
      const attach = () => kernel.call(() => driver.attachDisk(request));
      expect(errnoOf(attach)).toBe(EINVAL);
      expect(attach).toThrow(`pmem: mode '${mode}'; give fsdax or raw`);
      expect(kernel.machine.memory.regions).toHaveLength(1);
    },
  );

  it.each([0, -4096, 5000, Number.NaN, Number.POSITIVE_INFINITY])(
    'refuses media of %s bytes, as a disk and as a device-dax',
    (size) => {
      const { kernel, driver } = rig();
      const media = new MemoryMedia(size);
      for (const attach of ['attachDisk', 'attachDevDax'] as const) {
        expect(errnoOf(() => kernel.call(() => driver[attach]({ media })))).toBe(EINVAL);
      }
      expect(kernel.machine.memory.regions).toHaveLength(1);
    },
  );

  it.each([
    ['media of no whole pages', { media: new MemoryMedia(5000) }, EINVAL],
    ['an address within RAM', { physical: 0 }, EBUSY],
    ['an address that is taken', { physical: 4 * GIB }, EBUSY],
    ['an address off the 128 MiB boundary', { physical: 8 * GIB + 2 * MIB }, EINVAL],
    ['an address off the 2 MiB boundary', { physical: 8 * GIB + MIB }, EINVAL],
  ])('refuses %s and leaves nothing behind', (_what, request, errno) => {
    const { kernel, driver } = rig();
    const media = memoryMedia(2 * MIB);
    const attach = () => kernel.call(() => driver.attachDisk({ media, ...request }));
    expect(errnoOf(attach)).toBe(errno);
    const next = kernel.call(() => driver.attachDisk({ media }));
    expect(next.id).toBe(1);
    expect(kernel.machine.memory.regions.length).toBe(2);
  });

  it('has room for 16 devices', () => {
    const kernel = bootStack();
    const driver = kernel.module(pmem);
    const attach = () => kernel.call(() => driver.attachDisk({ media: memoryMedia(MIB) }));
    const devices = Array.from({ length: PMEM_DEVICES_MAX }, attach);
    expect(errnoOf(attach)).toBe(ENOSPC);
    kernel.call(() => devices[3]?.detach());
    expect(attach().id).toBe(3);
  });
});

describe('detachDisk', () => {
  it('ends the protection when the last protected device goes', () => {
    const { kernel, device } = rig();
    const { branch } = kernel.module(memremap).access;
    expect(branch.count.get(0)).toBe(1);
    kernel.call(() => device.detach());
    expect(branch.count.get(0)).toBe(0);
    expect(kernel.machine.memory.regions).toEqual([]);
    expect(kernel.module(dax).getByHost('pmem0')).toBeNull();
  });

  it('lets the same media be attached again, with what was on them', () => {
    const { kernel, device, driver, media } = rig();
    kernel.call(() => {
      device.write(0, pattern(4096));
      device.detach();
    });
    const again = kernel.call(() => driver.attachDisk({ media }));
    const back = new Uint8Array(4096);
    kernel.call(() => again.read(0, back));
    expect(back).toEqual(pattern(4096));
  });
});

describe('dax operations', () => {
  it('refuse pages over bad blocks until a whole page was zeroed', () => {
    const { kernel, device } = rig();
    const core = kernel.module(dax);
    device.addBadBlocks(8, 8);
    kernel.call(() => {
      const id = core.readLock();
      expect(core.directAccess(device.dax, 0, 4)).toBe(-5);
      expect(core.zeroPageRange(device.dax, 1, 1)).toBe(0);
      expect(core.directAccess(device.dax, 0, 4)).toMatchObject({ pages: 4 });
      core.readUnlock(id);
    });
    expect(device.badBlocks).toEqual([]);
  });
});

describe('a probe whose later step fails', () => {
  const operations = {
    directAccess: () => -5,
    copyFromIter: () => 0,
    copyToIter: () => 0,
    zeroPageRange: () => -5,
  };

  it.each(['attachDisk', 'attachDevDax'] as const)('%s leaves nothing behind', (attach) => {
    const kernel = bootStack();
    const driver = kernel.module(pmem);
    const core = kernel.module(dax);
    const { branch } = kernel.module(memremap).access;
    const taken = kernel.call(() =>
      Array.from({ length: 16 }, (_, i) => core.allocDax({ name: `other${i}`, operations })),
    );
    const attaching = (): unknown => {
      const media = memoryMedia(4 * MIB);
      return kernel.call(() => driver[attach]({ media }));
    };
    for (let i = 0; i < 17; i++) expect(attaching).toThrow('all 16 dax devices are in use');
    expect(kernel.machine.memory.regions).toEqual([]);
    expect(kernel.mm.lookup(kernel.mm.directAddress(4 * GIB)).present).toBe(false);
    expect(branch.count.values[0]).toBe(0);
    kernel.call(() => core.putDax(taken[0] as (typeof taken)[0]));
    expect(attaching).not.toThrow();
    expect(branch.count.values[0]).toBe(1);
  });

  it('gives the slot back where the range cannot be mapped', () => {
    const kernel = bootStack();
    const driver = kernel.module(pmem);
    const alignment = 2 ** 30;
    const failing = (): unknown =>
      kernel.call(() => driver.attachDevDax({ media: memoryMedia(4 * MIB), alignment }));
    for (let i = 0; i < 17; i++) expect(failing).toThrow('multiple of it');
    expect(kernel.machine.memory.regions).toEqual([]);
    expect(kernel.call(() => driver.attachDisk({ media: memoryMedia(4 * MIB) })).id).toBe(0);
  });
});

describe('attachDevDax', () => {
  it('makes a protected device-dax of media, and takes it away again', () => {
    const kernel = bootStack();
    const driver = kernel.module(pmem);
    const media = memoryMedia(4 * MIB);
    const device = kernel.call(() => driver.attachDevDax({ media }));
    expect(device.pagemap.pkey).toBe(1);
    kernel.call(() => kernel.module(memremap).access.enable());
    kernel.call(() => kernel.machine.store32(device.pagemap.address, 7));
    kernel.call(() => kernel.module(memremap).access.disable());
    kernel.call(() => driver.detachDevDax(device));
    expect(onMedia(media, 0, 1)[0]).toBe(7);
    expect(kernel.machine.memory.regions).toEqual([]);
    expect(kernel.call(() => driver.attachDisk({ media })).id).toBe(0);
  });

  it('keeps what a program stored through its mapping, and is SIGBUS to it afterwards', () => {
    const kernel = bootStack();
    const driver = kernel.module(pmem);
    const media = memoryMedia(4 * MIB);
    const device = kernel.call(() => driver.attachDevDax({ media }));
    const { machine, userMm } = kernel;
    const address = kernel.call(() => userMm.mmap({ file: device.file, length: 4 * MIB }));
    const store = (at: number, value: number): boolean =>
      kernel.call(() => userMm.run(() => machine.tryStore32(address + at, value)));
    expect(store(3 * MIB, 9)).toBe(false);
    expect(kernel.mm.lookup(address + 3 * MIB)).toMatchObject({
      level: 2,
      frame: 4 * GIB + 3 * MIB,
    });
    kernel.call(() => driver.detachDevDax(device));
    expect(onMedia(media, 3 * MIB, 1)[0]).toBe(9);
    expect(store(3 * MIB, 10)).toBe(true);
    expect(onMedia(media, 3 * MIB, 1)[0]).toBe(9);
  });
});
