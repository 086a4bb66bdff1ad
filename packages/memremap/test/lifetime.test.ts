// SPDX-License-Identifier: MIT
// Static branches and references of page maps, over attach and detach.

import { type BootOptions, EINVAL, ENOMEM, KernelError } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { HELD_PAGES_MAX, MemoryType, type Pagemap, PGMAP_PROT_ENABLED } from '../src/index.ts';
import { attach, DEVICE, MIB, reported, type Stack, withDevice } from './support.ts';

const PFN = DEVICE / 4096;

function attachAs(stack: Stack, type: number, at = 0, migrateToRam = (): void => {}): Pagemap {
  const request = {
    physical: DEVICE + at * 128 * MIB,
    size: 4096,
    type,
    flags: PGMAP_PROT_ENABLED,
    operations: stack.pagemaps.registerOperations({ migrateToRam, pageFree() {} }),
    owner: 'test',
  };
  return stack.kernel.call(() => stack.pagemaps.memremapPages(request));
}

describe('devmap_managed_key', () => {
  const counts = (options: BootOptions, type: number): (number | boolean)[] => {
    const stack = withDevice(options);
    const { managed } = stack.pagemaps;
    const map = attachAs(stack, type);
    const attached = managed.count.values[0] as number;
    stack.kernel.call(() => stack.pagemaps.memunmapPages(map));
    const log = reported(stack.kernel);
    return [
      attached,
      managed.count.values[0] as number,
      log.includes('jump label: negative count!'),
    ];
  };

  it('is on for FS_DAX and PRIVATE, and off again after them', () => {
    for (const revision of ['reference', 'rfc-v2', 'v10'] as const) {
      expect(counts({ revision }, MemoryType.fsDax)).toEqual([1, 0, false]);
      expect(counts({ revision }, MemoryType.private)).toEqual([1, 0, false]);
    }
  });

  it('goes negative where a device-dax is unbound (D-24, managed-put-always)', () => {
    expect(counts({ revision: 'rfc-v2' }, MemoryType.devDax)).toEqual([0, -1, true]);
    expect(counts({ sabotages: ['managed-put-always'] }, MemoryType.devDax)).toEqual([0, -1, true]);
    expect(counts({}, MemoryType.devDax)).toEqual([0, 0, false]);
    expect(counts({ revision: 'v10' }, MemoryType.devDax)).toEqual([0, 0, false]);
    const repaired: BootOptions = { revision: 'rfc-v2', repairs: ['D-24'] };
    expect(counts(repaired, MemoryType.devDax)).toEqual([0, 0, false]);
  });
});

describe('the second of two first users', () => {
  /** Attaches on CPU 1 while CPU 0 is inside its own attach; whether an attach returned before its branch was on. */
  const returnsTooEarly = (options: BootOptions): boolean => {
    let early = false;
    for (let at = 1; at < 60; at++) {
      const stack = withDevice({ ...options, cpus: 2 });
      const { kernel, access } = stack;
      const check = kernel.machine.column({ name: 'early', type: 'u32', initial: 0, per: 'cpu' });
      const attachAndLook = (slot: number) => (): void => {
        stack.pagemaps.memremapPages({
          physical: DEVICE + slot * 128 * MIB,
          size: 4096,
          type: MemoryType.devDax,
          flags: PGMAP_PROT_ENABLED,
        });
        const on = access.branch.text.get(0) === 1 && access.branch.text.get(1) === 1;
        if (!on) check.set(slot, 1);
      };
      kernel.call(() => {
        kernel.spawnCode({ name: 'first', calls: [attachAndLook(0)], cpu: 0 });
        kernel.spawnCode({ name: 'second', calls: [attachAndLook(1)], cpu: 1 });
      });
      let seen = 0;
      kernel.runner.attach({
        boundary(runner) {
          if (++seen === at) runner.runOther(1, 400);
        },
      });
      kernel.run();
      kernel.runner.attach(null);
      if (check.values.includes(1)) early = true;
    }
    return early;
  };

  it('waits for the patching of the first with static_branch_inc, not with a counter before it (D-15)', () => {
    expect(returnsTooEarly({})).toBe(false);
    // The lock of reference comes before the branch: as posted, the branch is taken first.
    const first = { branchGet: 'first' };
    expect(returnsTooEarly({ with: first })).toBe(false);
    expect(returnsTooEarly({ with: first, sabotages: ['branch-counted-twice'] })).toBe(true);
    expect(returnsTooEarly({ revision: 'rfc-v2', with: { branchCounting: 'atomicCounter' } })).toBe(
      true,
    );
  });
});

describe('MEMORY_DEVICE_PRIVATE', () => {
  const base = { physical: DEVICE, size: 4096, type: MemoryType.private, flags: 0 };
  const migrateToRam = (): void => {};
  const pageFree = (): void => {};

  it.each([
    ['migrate_to_ram', {}, 'Missing migrate_to_ram method'],
    ['page_free', { migrateToRam }, 'Missing page_free method'],
    ['an owner', { migrateToRam, pageFree }, 'Missing owner'],
  ])('without %s is EINVAL and a WARN', (_name, driver, warning) => {
    const stack = withDevice();
    const operations = stack.pagemaps.registerOperations(driver);
    const call = (): unknown =>
      stack.kernel.call(() => stack.pagemaps.memremapPages({ ...base, operations }));
    expect(call).toThrow(KernelError);
    expect(call).toThrow(expect.objectContaining({ errno: EINVAL }));
    expect(reported(stack.kernel)).toContain(warning);
  });

  it('has pages, but no CPU reaches them: nothing has to migrate', () => {
    const stack = withDevice();
    let migrated = 0;
    const map = attachAs(stack, MemoryType.private, 0, () => migrated++);
    expect(stack.kernel.call(() => stack.pagemaps.pgmapOf(PFN))).toBe(map.id);
    expect(stack.kernel.mm.lookup(map.address).present).toBe(false);
    expect(stack.kernel.call(() => stack.kernel.machine.tryStore32(map.address, 1))).toBe(true);
    expect(migrated).toBe(0);
  });

  it('of an unknown type is a WARN that names it', () => {
    const stack = withDevice();
    expect(() =>
      stack.kernel.call(() => stack.pagemaps.memremapPages({ ...base, type: 9 })),
    ).toThrow(KernelError);
    expect(reported(stack.kernel)).toContain('Invalid pgmap type 9');
  });
});

describe('protection that is asked for and cannot be had', () => {
  const outcome = (options: BootOptions): unknown => {
    const stack = withDevice({ ...options, features: { pks: false } });
    try {
      return attach(stack).pkey;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      return error.errno;
    }
  };

  it('is a map without in the first postings and in reference, and -EINVAL from V7 on', () => {
    expect([outcome({ revision: 'rfc-v2' }), outcome({ revision: 'rfc-v3' })]).toEqual([0, 0]);
    expect([outcome({ revision: 'v7' }), outcome({ revision: 'v10' })]).toEqual([EINVAL, EINVAL]);
    expect(outcome({})).toBe(0);
  });

  it('is told by reference for each map that lacks it, and by no posted revision', () => {
    const lines = (options: BootOptions): readonly string[] => {
      const stack = withDevice({ ...options, features: { pks: false } });
      attach(stack, MIB);
      return reported(stack.kernel).filter((line) => line.startsWith('memremap:'));
    };
    const line = 'memremap: [mem 0x100000000-0x1000fffff] is not protected: no protection key';
    expect(lines({})).toEqual([line]);
    expect([lines({ revision: 'rfc-v2' }), lines({ revision: 'rfc-v3' })]).toEqual([[], []]);
    expect(lines({ with: { protectionUnavailable: 'unprotected' } })).toEqual([]);
  });

  it('is not asked for from V7 on: drivers look whether it is available', () => {
    const flags = (options: BootOptions): number =>
      withDevice({ ...options, features: { pks: false } }).pagemaps.protectionFlags;
    expect([flags({ revision: 'rfc-v2' }), flags({})]).toEqual([2, 2]);
    expect([flags({ revision: 'v7' }), flags({ revision: 'v10' })]).toEqual([0, 0]);
    expect(withDevice({ revision: 'v10' }).pagemaps.protectionFlags).toBe(PGMAP_PROT_ENABLED);
  });
});

describe('references to pages', () => {
  it('are counted beyond the one that the map has', () => {
    const stack = withDevice();
    attach(stack);
    const { pagemaps } = stack;
    const seen = stack.kernel.call(() => {
      const counts = [pagemaps.pageCount(PFN)];
      for (const pfn of [PFN, PFN, PFN + 1]) pagemaps.getPage(pfn);
      counts.push(
        pagemaps.pageCount(PFN),
        pagemaps.pageCount(PFN + 1),
        pagemaps.pageCount(PFN + 2),
      );
      pagemaps.putPage(PFN);
      counts.push(pagemaps.pageCount(PFN));
      return counts;
    });
    expect(seen).toEqual([1, 3, 2, 1, 2]);
  });

  it('of RAM and of pages that nobody has are none', () => {
    const stack = withDevice();
    attach(stack);
    const { pagemaps } = stack;
    expect(stack.kernel.call(() => pagemaps.getPage(0x1000))).toBe(false);
    stack.kernel.call(() => {
      pagemaps.putPage(PFN + 3);
      pagemaps.putPage(0x1000);
    });
    expect(reported(stack.kernel).filter((line) => line.startsWith('memremap:'))).toEqual([
      `memremap: put_page of pfn 0x${(PFN + 3).toString(16)}, which is not held`,
      'memremap: put_page of pfn 0x1000',
    ]);
  });

  it('that are the last of a page are told to its driver, where pages are managed', () => {
    const stack = withDevice();
    const freed = stack.kernel.machine.column({
      name: 'freed',
      type: 'address',
      initial: 0,
      per: 'global',
    });
    const pageFree = (pfn: number): void => freed.set(0, pfn);
    const operations = stack.pagemaps.registerOperations({ pageFree });
    const request = { physical: DEVICE, size: MIB, type: MemoryType.fsDax, flags: 0, operations };
    stack.kernel.call(() => {
      stack.pagemaps.memremapPages(request);
      stack.pagemaps.getPage(PFN + 1);
      stack.pagemaps.getPage(PFN + 1);
      stack.pagemaps.putPage(PFN + 1);
    });
    expect(freed.values[0]).toBe(0);
    stack.kernel.call(() => stack.pagemaps.putPage(PFN + 1));
    expect(freed.values[0]).toBe(PFN + 1);
  });

  /** Whether the map is gone while a page of it is held; a holder lets go after the unbind has begun. */
  const unmapUnderHolder = (options: BootOptions): boolean => {
    const stack = withDevice(options);
    const { kernel, pagemaps } = stack;
    const map = attach(stack);
    kernel.call(() => {
      pagemaps.getPage(PFN);
      kernel.spawn('unbind', () => pagemaps.memunmapPages(map));
    });
    kernel.run();
    const gone = !kernel.mm.lookup(map.address).present;
    if (!gone) {
      expect(kernel.call(() => pagemaps.getPage(PFN + 1))).toBe(false);
      kernel.call(() => pagemaps.putPage(PFN));
      kernel.run();
      expect(kernel.mm.lookup(map.address).present).toBe(false);
    }
    return gone;
  };

  it('keep the map until they are put; none is given once memunmap_pages has begun', () => {
    expect(unmapUnderHolder({})).toBe(false);
    expect(unmapUnderHolder({ sabotages: ['unmap-does-not-wait'] })).toBe(true);
  });

  it('are as many of one kind as there is room for', () => {
    const stack = withDevice();
    const { kernel, pagemaps } = stack;
    attach(stack, 512 * MIB);
    const held = Array.from({ length: HELD_PAGES_MAX }, (_, i) => PFN + i * 32);
    const counts = kernel.call(() => {
      for (const pfn of held) if (!pagemaps.getPage(pfn)) return [];
      // Those that are put leave holes before others of their kind.
      for (const pfn of held.slice(0, 8)) pagemaps.putPage(pfn);
      pagemaps.getPage(held[9] as number);
      const after = held.map((pfn) => pagemaps.pageCount(pfn));
      for (const pfn of held.slice(8)) pagemaps.putPage(pfn);
      pagemaps.putPage(held[9] as number);
      return after;
    });
    expect(counts).toEqual(held.map((_, i) => (i < 8 ? 1 : i === 9 ? 3 : 2)));
    expect(held.map((pfn) => kernel.call(() => pagemaps.pageCount(pfn)))).toEqual(
      held.map(() => 1),
    );
    expect(reported(kernel)).toEqual([]);
  });

  it('are ENOMEM past that, whatever page it is', () => {
    const stack = withDevice();
    const { kernel, pagemaps } = stack;
    attach(stack, 512 * MIB);
    const error = kernel.call(() => {
      for (let i = 0; i < HELD_PAGES_MAX; i++) pagemaps.getPage(PFN + i);
      try {
        pagemaps.getPage(PFN + HELD_PAGES_MAX);
      } catch (caught) {
        return caught;
      }
      return null;
    });
    expect(error).toMatchObject({ errno: ENOMEM });
    // It held nothing when it gave up.
    kernel.call(() => pagemaps.putPage(PFN));
    expect(kernel.call(() => pagemaps.getPage(PFN + HELD_PAGES_MAX))).toBe(true);
    expect(reported(kernel)).toEqual([]);
  });

  it('keep the map until the driver has heard of the last one', () => {
    const stack = withDevice();
    const { kernel, pagemaps } = stack;
    const mapped = kernel.machine.column({
      name: 'mapped',
      type: 'bool',
      initial: 0,
      per: 'global',
    });
    const address = kernel.mm.directAddress(DEVICE);
    const pageFree = (): void => {
      // Whoever waits for the last reference has its chance.
      kernel.sched.schedule();
      mapped.set(0, kernel.mm.lookup(address).present ? 1 : 0);
    };
    const operations = pagemaps.registerOperations({ pageFree });
    const request = { physical: DEVICE, size: MIB, type: MemoryType.fsDax, flags: 0, operations };
    kernel.call(() => {
      const map = pagemaps.memremapPages(request);
      pagemaps.getPage(PFN);
      kernel.spawn('unbind', () => pagemaps.memunmapPages(map));
    });
    kernel.run();
    kernel.call(() => pagemaps.putPage(PFN));
    expect(mapped.values[0]).toBe(1);
    kernel.run();
    expect(kernel.mm.lookup(address).present).toBe(false);
  });
});
