// SPDX-License-Identifier: MIT
// Where patch 13 puts its hooks, primitive by primitive, with HIGHMEM and without.

import { type BootOptions, EINVAL, KernelError, PAGE_OFFSET } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { LAST_PKMAP, PKMAP_BASE } from '../src/index.ts';
import { operationsOf, PFN, RAM_PFN, reported, type Stack, withDevice } from './support.ts';

/** The hook's first operation: page_is_access_protected. */
const HOOK = 'dev_protection_static_key.text';
const MIGHT_SLEEP = ['__preempt_count', 'RFLAGS.IF'];
const HIGHMEM: BootOptions = { revision: 'rfc-v2', config: { HIGHMEM: true } };
const V2: BootOptions = { revision: 'rfc-v2' };

const before = (all: readonly string[]): readonly string[] => all.slice(0, all.indexOf(HOOK));
const after = (all: readonly string[]): readonly string[] =>
  all.slice(all.lastIndexOf('popfIf') + 1);

describe('the place of the hook', () => {
  it('of kmap without HIGHMEM: after might_sleep, before the address', () => {
    const { kernel, kmap } = withDevice(V2);
    const seen = operationsOf(kernel, () => kmap.kmap(PFN));
    expect(before(seen)).toHaveLength(MIGHT_SLEEP.length);
    expect(seen[0]).toBe('__preempt_count');
    expect(after(seen)).toEqual([]);
  });

  it('of kunmap without HIGHMEM: first', () => {
    const { kernel, kmap } = withDevice(V2);
    kernel.call(() => kmap.kmap(PFN));
    expect(operationsOf(kernel, () => kmap.kunmap(PFN))[0]).toBe(HOOK);
  });

  it('of kmap with HIGHMEM: after mapping and kmap_flush_tlb, last', () => {
    const { kernel, kmap } = withDevice(HIGHMEM);
    const seen = operationsOf(kernel, () => kmap.kmap(PFN));
    const earlier = before(seen);
    expect(earlier).toContain('pkmap_count');
    expect(earlier.at(-1)).toBe('invlpg');
    expect(after(seen)).toEqual([]);
  });

  it('of kunmap with HIGHMEM: after might_sleep, before the test of PageHighMem', () => {
    const { kernel, kmap } = withDevice(HIGHMEM);
    kernel.call(() => kmap.kmap(PFN));
    const seen = operationsOf(kernel, () => kmap.kunmap(PFN));
    expect(before(seen)).toHaveLength(MIGHT_SLEEP.length);
    expect(after(seen)).toContain('pkmap_count');
  });

  it.each([
    ['without HIGHMEM', V2, []],
    ['with HIGHMEM', HIGHMEM, ['__kmap_atomic_idx']],
  ] satisfies [string, BootOptions, string[]][])(
    'of kmap_atomic %s: after preempt_disable and pagefault_disable, before the address; of kunmap_atomic: first',
    (_name, options, address) => {
      const { kernel, kmap } = withDevice(options);
      let mapped = 0;
      const seen = operationsOf(kernel, () => {
        mapped = kmap.kmapAtomic(PFN);
      });
      expect(before(seen)).toEqual(['__preempt_count', 'task.pagefault_disabled']);
      for (const cell of address) expect(after(seen)).toContain(cell);
      const ended = operationsOf(kernel, () => kmap.kunmapAtomic(mapped));
      expect(ended.indexOf(HOOK)).toBe(address.length);
      expect(ended.slice(-2)).toEqual(['task.pagefault_disabled', '__preempt_count']);
    },
  );
});

describe('HIGHMEM', () => {
  it('gives a page beyond RAM an address of its own, which is the same for all who have it', () => {
    const { kernel, kmap } = withDevice({ config: { HIGHMEM: true } });
    const [one, again, ram] = kernel.call(() => {
      const first = kmap.kmap(PFN);
      kernel.machine.store32(first, 7);
      return [first, kmap.kmap(PFN), kmap.kmap(RAM_PFN)];
    });
    expect([one, again]).toEqual([PKMAP_BASE, PKMAP_BASE]);
    expect(ram).toBe(PAGE_OFFSET + RAM_PFN * 4096);
  });

  it('is an alias with key 0, which protection does not reach (D-56)', () => {
    const { kernel, kmap } = withDevice({ config: { HIGHMEM: true } });
    const address = kernel.call(() => kmap.kmap(PFN));
    kernel.call(() => kmap.kunmap(PFN));
    expect(kernel.mm.lookup(address).key).toBe(0);
    expect(kernel.call(() => kernel.machine.tryStore32(address, 1))).toBe(false);
  });

  const takeAll = ({ kmap }: Stack): void => {
    for (let i = 0; i < LAST_PKMAP; i++) kmap.kmap(PFN + i);
  };

  it('lets kmap sleep until an address is free', () => {
    const stack = withDevice({ config: { HIGHMEM: true } });
    const { kernel, kmap } = stack;
    const got = kernel.machine.column({ name: 'got', type: 'address', initial: 0, per: 'global' });
    kernel.call(() => {
      takeAll(stack);
      kernel.spawn('late', () => {
        got.set(0, kmap.kmap(PFN + 9));
        kmap.kunmap(PFN + 9);
      });
    });
    kernel.run();
    expect(got.values[0]).toBe(0);
    kernel.call(() => kmap.kunmap(PFN + 2));
    kernel.run();
    expect(got.values[0]).toBe(PKMAP_BASE + 2 * 4096);
    expect(kernel.mm.lookup(PKMAP_BASE + 2 * 4096).frame / 4096).toBe(PFN + 9);
    expect(reported(kernel)).toEqual([]);
  });

  it('belongs to patch 13: other policies are refused at boot', () => {
    const boot = (): unknown => withDevice({ revision: 'v10', config: { HIGHMEM: true } });
    expect(boot).toThrow(KernelError);
    expect(boot).toThrow(expect.objectContaining({ errno: EINVAL }));
  });
});
