// SPDX-License-Identifier: MIT
import {
  type BootOptions,
  boot,
  EBUSY,
  EINVAL,
  ENOMEM,
  ENOSPC,
  ENXIO,
  KernelError,
  type KernelModule,
  noChoices,
} from '@pkslab/kernel';
import { pksCore } from '@pkslab/pks-core';
import { describe, expect, it } from 'vitest';
import {
  MemoryType,
  memremap,
  type PagemapRequest,
  PGMAP_PROT_ENABLED,
  PKEY_INVALID,
} from '../src/index.ts';
import { attach, DEVICE, MIB, reported, type Stack, withDevice } from './support.ts';

const good: PagemapRequest = {
  physical: DEVICE,
  size: 4 * MIB,
  type: MemoryType.fsDax,
  flags: PGMAP_PROT_ENABLED,
};

const branchCount = (stack: Stack): number => stack.access.branch.count.values[0] as number;

function errnoOf(stack: Stack, request: PagemapRequest): number {
  let errno = 0;
  try {
    stack.kernel.call(() => stack.pagemaps.memremapPages(request));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    errno = error.errno;
  }
  return errno;
}

/** Everything that an attach that failed must not have changed. */
function traces(stack: Stack): unknown {
  const { kernel, pagemaps } = stack;
  return {
    count: branchCount(stack),
    text: [...stack.access.branch.text.values],
    flags: [...pagemaps.flags.values],
    owner: kernel.call(() => pagemaps.pgmapOf(DEVICE / 4096)),
    mapped: kernel.mm.lookup(kernel.mm.directAddress(DEVICE)).present,
  };
}

describe('memremap_pages', () => {
  it('puts the device key into every leaf entry: 2 MiB leaves and the 4 KiB tail', () => {
    const stack = withDevice();
    const size = 4 * MIB + 3 * 4096;
    const map = attach(stack, size);
    expect(map).toEqual({ id: 0, address: stack.kernel.mm.directAddress(DEVICE), pkey: 1 });
    const levels: number[] = [];
    for (let offset = 0; offset < size; offset += 4096) {
      const leaf = stack.kernel.mm.lookup(map.address + offset);
      expect([leaf.present, leaf.key]).toEqual([true, 1]);
      levels.push(leaf.level);
    }
    expect(levels.filter((level) => level === 2)).toHaveLength(1024);
    expect(levels.slice(1024)).toEqual([1, 1, 1]);
    expect(stack.kernel.mm.lookup(map.address + size).present).toBe(false);
  });

  it('uses key 0 where protection is not asked for', () => {
    const stack = withDevice();
    const map = attach(stack, 2 * MIB, 0);
    expect([map.pkey, stack.kernel.mm.lookup(map.address).key]).toEqual([0, 0]);
    expect(branchCount(stack)).toBe(0);
  });

  it('takes the static branch once for each protected map, and gives it back', () => {
    const stack = withDevice({ cpus: 2 });
    const { kernel, pagemaps } = stack;
    const first = attach(stack);
    const second = kernel.call(() =>
      pagemaps.memremapPages({ ...good, physical: DEVICE + 128 * MIB }),
    );
    expect([branchCount(stack), ...stack.access.branch.text.values]).toEqual([2, 1, 1]);
    kernel.call(() => pagemaps.memunmapPages(first));
    expect([branchCount(stack), ...stack.access.branch.text.values]).toEqual([1, 1, 1]);
    kernel.call(() => pagemaps.memunmapPages(second));
    expect([branchCount(stack), ...stack.access.branch.text.values]).toEqual([0, 0, 0]);
  });

  it('has the branch on every CPU before the first page is mapped', () => {
    const stack = withDevice({ cpus: 2 });
    const { kernel } = stack;
    const address = kernel.mm.directAddress(DEVICE);
    const seen: boolean[] = [];
    kernel.runner.attach({
      boundary() {
        if (kernel.mm.lookup(address).present) {
          seen.push([...stack.access.branch.text.values].every((on) => on === 1));
        }
      },
    });
    attach(stack);
    kernel.runner.attach(null);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen).not.toContain(false);
  });

  it.each<[string, Partial<PagemapRequest>, number]>([
    ['a start off the section boundary', { physical: DEVICE + 2 * MIB }, EINVAL],
    ['a negative start', { physical: -128 * MIB }, EINVAL],
    ['no size', { size: 0 }, EINVAL],
    ['a negative size', { size: -4096 }, EINVAL],
    ['a size that is not a number', { size: Number.NaN }, EINVAL],
    ['a part of a page', { size: 4097 }, EINVAL],
    ['an end past 8 TiB', { physical: 8 * 2 ** 40 - 128 * MIB, size: 256 * MIB }, EINVAL],
    ['RAM', { physical: 0 }, ENXIO],
    ['MEMORY_DEVICE_PRIVATE', { type: MemoryType.private }, EINVAL],
    ['an unknown type', { type: 9 }, EINVAL],
  ])('refuses %s and leaves nothing behind', (_name, part, errno) => {
    const stack = withDevice();
    const before = traces(stack);
    expect(errnoOf(stack, { ...good, ...part })).toBe(errno);
    expect(traces(stack)).toEqual(before);
    expect(attach(stack).id).toBe(0);
  });

  it('refuses an overlap, and leaves the map that was there alone', () => {
    const stack = withDevice();
    attach(stack, 130 * MIB);
    const before = traces(stack);
    expect(errnoOf(stack, { ...good, physical: DEVICE + 128 * MIB })).toBe(EBUSY);
    expect(traces(stack)).toEqual(before);
    expect(errnoOf(stack, { ...good, physical: DEVICE + 256 * MIB })).toBe(0);
  });

  it('refuses a 17th map', () => {
    const stack = withDevice();
    const at = (i: number): PagemapRequest => ({
      ...good,
      physical: DEVICE + i * 128 * MIB,
      size: 4096,
    });
    for (let i = 0; i < 16; i++) expect(errnoOf(stack, at(i))).toBe(0);
    expect(errnoOf(stack, at(16))).toBe(ENOSPC);
    expect(branchCount(stack)).toBe(16);
  });

  it('that finds no memory for page tables leaves nothing behind', () => {
    const stack = withDevice({ memory: 4 * MIB });
    const { kernel } = stack;
    const frames: number[] = [];
    kernel.call(() => {
      let frame = allocOrNone(stack);
      while (frame >= 0) {
        frames.push(frame);
        frame = allocOrNone(stack);
      }
      // One page is left: enough for the table of the 2 MiB leaves, not for that of the tail.
      kernel.mm.freePage(frames.pop() as number);
    });
    const before = traces(stack);
    expect(errnoOf(stack, { ...good, size: 4 * MIB + 4096 })).toBe(ENOMEM);
    expect(traces(stack)).toEqual(before);
    kernel.call(() => {
      for (const frame of frames) kernel.mm.freePage(frame);
    });
    expect(attach(stack).pkey).toBe(1);
  });

  it('under rfc-v2 loses a reference of the branch on every error path', () => {
    const stack = withDevice({ revision: 'rfc-v2' });
    expect(errnoOf(stack, { ...good, size: 0 })).toBe(EINVAL);
    expect(branchCount(stack)).toBe(1);
    const repaired = withDevice({ revision: 'rfc-v2', with: { branchGet: 'whenReserved' } });
    expect(errnoOf(repaired, { ...good, size: 0 })).toBe(EINVAL);
    expect(branchCount(repaired)).toBe(0);
  });

  it('protects nothing where no key is left, and still maps', () => {
    const stack = withDevice({ features: { pks: false } });
    const map = attach(stack);
    expect(map.pkey).toBe(0);
    expect(branchCount(stack)).toBe(0);
    expect(stack.kernel.call(() => stack.kernel.machine.tryStore32(map.address, 1))).toBe(false);
  });
});

/** A frame, or −1: an error may not be caught around operations in kernel code, but in a test it may. */
function allocOrNone(stack: Stack): number {
  try {
    return stack.kernel.mm.allocPage();
  } catch {
    return -1;
  }
}

describe('memunmap_pages', () => {
  it('takes the mapping and the pages away, and the range is free again', () => {
    const stack = withDevice();
    const { kernel, pagemaps } = stack;
    const map = attach(stack, 2 * MIB + 4096);
    kernel.call(() => pagemaps.memunmapPages(map));
    expect(kernel.mm.lookup(map.address).present).toBe(false);
    expect(kernel.mm.lookup(map.address + 2 * MIB).present).toBe(false);
    expect(kernel.call(() => pagemaps.pgmapOf(DEVICE / 4096))).toBe(-1);
    expect(attach(stack).id).toBe(0);
  });

  it('of a map that is not live is a WARN and nothing else', () => {
    const stack = withDevice();
    const map = attach(stack);
    function carelessDriver(): void {
      stack.pagemaps.memunmapPages(map);
      stack.pagemaps.memunmapPages(map);
    }
    stack.kernel.call(carelessDriver);
    expect(reported(stack.kernel).slice(1, 3)).toEqual([
      'memremap: page map 0 is not live',
      'WARNING: CPU: 0 PID: 1 at memunmap_pages',
    ]);
    expect(branchCount(stack)).toBe(0);
  });
});

describe('page_is_access_protected', () => {
  const operations = (options: BootOptions, pfn: number, flags: number | null): string[] => {
    const stack = withDevice(options);
    if (flags !== null) attach(stack, 4 * MIB, flags);
    // A second, protected device keeps the branch on.
    if (flags === 0) {
      stack.kernel.call(() =>
        stack.pagemaps.memremapPages({ ...good, physical: DEVICE + 128 * MIB }),
      );
    }
    const seen: string[] = [];
    stack.kernel.runner.attach({
      boundary(_runner, _kind, column) {
        seen.push(stack.kernel.machine.columns[column]?.field.name ?? '');
      },
    });
    const answer = stack.kernel.call(() => stack.pagemaps.pageIsAccessProtected(pfn));
    stack.kernel.runner.attach(null);
    return [...seen, String(answer)];
  };
  const pfn = DEVICE / 4096;

  it('looks at the static branch first, then at the kind of page, then at the flag of its map', () => {
    const branch = 'dev_protection_static_key.text';
    expect(operations({}, pfn, null)).toEqual([branch, 'false']);
    // A page of RAM needs no look: that RAM is not ZONE_DEVICE is fixed at boot.
    expect(operations({}, 5, PGMAP_PROT_ENABLED)).toEqual([branch, 'false']);
    const hole = pfn + 0x10_0000;
    expect(operations({}, hole, PGMAP_PROT_ENABLED)).toEqual([
      branch,
      'mem_section.pgmap',
      'false',
    ]);
    const all = [branch, 'mem_section.pgmap', 'dev_pagemap.flags'];
    expect(operations({}, pfn, 0)).toEqual([...all, 'false']);
    expect(operations({}, pfn, PGMAP_PROT_ENABLED)).toEqual([...all, 'true']);
  });
});

describe('sabotage key-not-mapped', () => {
  it('is caught by the check of the leaf entries', () => {
    const stack = withDevice({ sabotages: ['key-not-mapped'] });
    const map = attach(stack);
    expect(stack.kernel.mm.lookup(map.address).key).not.toBe(map.pkey);
    expect(stack.kernel.call(() => stack.kernel.machine.tryStore32(map.address, 1))).toBe(false);
  });
});

describe('the device key', () => {
  it('may be none because all keys are taken: maps are made with key 0, and nothing is protected', () => {
    const greedy: KernelModule<null> = {
      name: 'greedy',
      ...noChoices,
      create(kernel) {
        kernel.initcall('arch', () => {
          for (let i = 0; i < 15; i++) kernel.module(pksCore).keys.alloc(`greedy ${i}`);
        });
        return null;
      },
    };
    const kernel = boot({ modules: [pksCore, greedy, memremap] });
    kernel.machine.memory.addRegion(DEVICE, 4 * MIB, { read() {}, write() {} });
    const { access, pagemaps } = kernel.module(memremap);
    expect(kernel.dmesg).toContain('x86/pkeys: Cannot allocate supervisor key for Device Memory.');
    expect(access.pkey).toBe(PKEY_INVALID);
    const map = kernel.call(() => pagemaps.memremapPages(good));
    expect(map.pkey).toBe(0);
    expect(kernel.call(() => kernel.machine.tryStore32(map.address, 1))).toBe(false);
    kernel.call(() => {
      access.enable();
      access.disable();
    });
    expect(kernel.call(() => pagemaps.pageIsAccessProtected(DEVICE / 4096))).toBe(false);
  });

  it('is allocated at boot and shows in debugfs', () => {
    const { kernel } = withDevice();
    expect(kernel.call(() => kernel.debugfs.read('x86/pks_keys_allocated'))).toBe(
      '0: kernel\n1: Device Memory\n',
    );
  });

  it('is not given back by anybody', () => {
    const { kernel } = withDevice();
    kernel.call(() => kernel.module(pksCore).keys.free(1));
    expect(reported(kernel)[1]).toBe(
      'x86/pkeys: free of key 1, which Device Memory never gives back',
    );
  });
});
