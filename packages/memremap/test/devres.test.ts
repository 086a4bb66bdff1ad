// SPDX-License-Identifier: MIT
import { EBUSY, ENOMEM, KernelError } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { MemoryType, PGMAP_PROT_ENABLED } from '../src/index.ts';
import { DEVICE, MIB, type Stack, withDevice } from './support.ts';

const request = (at: number) => ({
  physical: DEVICE + at * 128 * MIB,
  size: 4096,
  type: MemoryType.fsDax,
  flags: PGMAP_PROT_ENABLED,
});

const errnoOf = (work: () => unknown): number => {
  try {
    work();
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
  return 0;
};

/** Cell to which actions append their number. */
function order({ kernel }: Stack): { note(n: number): () => void; seen(): number } {
  const cell = kernel.machine.column({ name: 'order', type: 'u32', initial: 0, per: 'global' });
  return {
    note: (n) => () => cell.set(0, cell.get(0) * 10 + n),
    seen: () => cell.values[0] as number,
  };
}

describe('devres_release_all', () => {
  it('undoes in reverse order, of one device, once', () => {
    const stack = withDevice();
    const { kernel, devres } = stack;
    const { note, seen } = order(stack);
    kernel.call(() => {
      for (const n of [1, 2, 3]) devres.addAction(0, note(n));
      devres.addAction(1, note(9));
      devres.releaseAll(0);
      devres.releaseAll(0);
    });
    expect(seen()).toBe(321);
    kernel.call(() => devres.releaseAll(1));
    expect(seen()).toBe(3219);
  });

  it('unmaps after what was set up on top of the map is gone, and gives the branch back', () => {
    const { kernel, devres, access } = withDevice();
    const wasMapped = kernel.machine.column({
      name: 'was mapped',
      type: 'bool',
      initial: 0,
      per: 'global',
    });
    const map = kernel.call(() => devres.memremapPages(0, request(0)));
    kernel.call(() => {
      devres.addAction(0, () => {
        access.enable();
        wasMapped.set(0, kernel.machine.tryStore32(map.address, 1) ? 0 : 1);
        access.disable();
      });
      devres.releaseAll(0);
    });
    expect(wasMapped.values[0]).toBe(1);
    expect(kernel.mm.lookup(map.address).present).toBe(false);
    expect(access.branch.count.values[0]).toBe(0);
  });
});

describe('devm_memremap_pages', () => {
  it('that fails leaves nothing to undo', () => {
    const { kernel, devres, access } = withDevice();
    kernel.call(() => devres.memremapPages(0, request(0)));
    expect(errnoOf(() => kernel.call(() => devres.memremapPages(1, request(0))))).toBe(EBUSY);
    kernel.call(() => devres.releaseAll(1));
    expect(access.branch.count.values[0]).toBe(1);
  });

  it('is undone at once where the device holds too much', () => {
    const stack = withDevice();
    const { kernel, devres, access } = stack;
    const { note } = order(stack);
    kernel.call(() => {
      for (let i = 0; i < 8; i++) devres.addAction(0, note(1));
    });
    expect(errnoOf(() => kernel.call(() => devres.memremapPages(0, request(0))))).toBe(ENOMEM);
    expect(kernel.mm.lookup(kernel.mm.directAddress(DEVICE)).present).toBe(false);
    expect(access.branch.count.values[0]).toBe(0);
  });
});
