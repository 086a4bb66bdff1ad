// SPDX-License-Identifier: MIT
import { EBUSY, ENOMEM, KernelError } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { type DevresAction, MemoryType, PGMAP_PROT_ENABLED } from '../src/index.ts';
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

/** An action that appends its number to a cell. */
function order({ kernel, devres }: Stack): { note: DevresAction; seen(): number } {
  const cell = kernel.machine.column({ name: 'order', type: 'u32', initial: 0, per: 'global' });
  return {
    note: devres.register((n) => cell.set(0, cell.get(0) * 10 + n)),
    seen: () => cell.values[0] as number,
  };
}

describe('devres_release_all', () => {
  it('undoes in reverse order, of one device, once', () => {
    const stack = withDevice();
    const { kernel, devres } = stack;
    const { note, seen } = order(stack);
    kernel.call(() => {
      for (const n of [1, 2, 3]) devres.addAction(0, note, n);
      devres.addAction(1, note, 9);
      devres.releaseAll(0);
      devres.releaseAll(0);
    });
    expect(seen()).toBe(321);
    kernel.call(() => devres.releaseAll(1));
    expect(seen()).toBe(3219);
  });

  it('does what is held in the state that the kernel is in, be it an earlier one', () => {
    const stack = withDevice();
    const { kernel, devres } = stack;
    const { note, seen } = order(stack);
    const other = devres.register(() => {});
    kernel.call(() => devres.addAction(0, note, 1));
    const { columns } = kernel.machine;
    const before = columns.map(({ values }) => [...values]);
    kernel.call(() => {
      devres.releaseAll(0);
      devres.addAction(0, other, 2);
    });
    // As a search takes a step back: cell by cell.
    for (const [i, column] of columns.entries()) {
      for (const [at, value] of (before[i] ?? []).entries()) column.poke(at, value);
    }
    kernel.call(() => devres.releaseAll(0));
    expect(seen()).toBe(1);
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
    const look = devres.register((address) => {
      access.enable();
      wasMapped.set(0, kernel.machine.tryStore32(address, 1) ? 0 : 1);
      access.disable();
    });
    kernel.call(() => {
      devres.addAction(0, look, map.address);
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

  it('is undone at once where the device holds too much, and says so as every error', () => {
    const stack = withDevice();
    const { kernel, devres, access } = stack;
    const { note, seen } = order(stack);
    const results = kernel.call(() => {
      const held: unknown[] = [];
      for (let i = 1; i <= 9; i++) held.push(devres.addAction(0, note, i));
      held.push(devres.tryMemremapPages(0, request(1)));
      return held;
    });
    expect(results.slice(0, 9)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, -ENOMEM]);
    expect(seen()).toBe(9);
    expect(results[9]).toMatchObject({ errno: ENOMEM });
    expect(errnoOf(() => kernel.call(() => devres.memremapPages(0, request(0))))).toBe(ENOMEM);
    expect(kernel.mm.lookup(kernel.mm.directAddress(DEVICE)).present).toBe(false);
    expect(access.branch.count.values[0]).toBe(0);
  });
});
