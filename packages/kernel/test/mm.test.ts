// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Kernel, KernelError, PAGE_KERNEL_PROT, VMALLOC_START } from '../src/index.ts';
import { booted } from './support.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 20200717);
const MIB = 2 ** 20;
const AT = VMALLOC_START + 2 ** 40;

/** The frame and key of a page, wherever its leaf is; null where nothing is mapped. */
function mapped(kernel: Kernel, address: number): unknown {
  const { present, frame, level, key } = kernel.mm.lookup(address);
  if (!present) return null;
  const inside = level === 2 ? ((address % (2 * MIB)) + 2 * MIB) % (2 * MIB) : 0;
  return { frame: frame + inside, key };
}

describe('mappings', () => {
  it('use 2 MiB leaves where they fit and 4 KiB leaves before and after, each with the key', () => {
    const { kernel } = booted();
    const { mm } = kernel;
    const start = AT + 2 * MIB - 8192;
    kernel.call(() =>
      mm.map(start, 2 * MIB - 8192, 8192 + 4 * MIB + 4096, { key: 5, writable: true }),
    );
    const leaves = [start, start + 4096, AT + 2 * MIB, AT + 4 * MIB, AT + 6 * MIB].map((address) =>
      mm.lookup(address),
    );
    expect(leaves.map((leaf) => leaf.level)).toEqual([1, 1, 2, 2, 1]);
    expect(leaves.map((leaf) => leaf.key)).toEqual([5, 5, 5, 5, 5]);
    expect(mm.lookup(AT + 6 * MIB + 4096).present).toBe(false);
    expect(mm.lookup(start - 4096).present).toBe(false);
  });

  it('are gone after unmap, on every CPU', () => {
    const { kernel } = booted({ cpus: 2 });
    const { mm, machine } = kernel;
    kernel.call(() => {
      mm.map(AT, 0, 2 * MIB + 4096, PAGE_KERNEL_PROT);
      machine.load32(AT);
      mm.unmap(AT, 2 * MIB + 4096);
    });
    expect([mm.lookup(AT).present, mm.lookup(AT + 2 * MIB).present]).toEqual([false, false]);
    expect(kernel.call(() => machine.tryStore32(AT, 1))).toBe(true);
  });

  it('that are not writable refuse stores', () => {
    const { kernel } = booted();
    kernel.call(() => kernel.mm.map(AT, 0, 4096, { key: 0, writable: false }));
    expect(kernel.call(() => kernel.machine.tryStore32(AT, 1))).toBe(true);
  });
});

describe(`random ranges (seed: ${seed})`, () => {
  it('map every page to its frame with the key and no page beside it, and unmap leaves none', () => {
    const range = fc.record({
      page: fc.integer({ min: 1, max: 1200 }),
      frame: fc.integer({ min: 0, max: 1200 }),
      pages: fc.integer({ min: 1, max: 1300 }),
      key: fc.integer({ min: 0, max: 15 }),
    });
    fc.assert(
      fc.property(range, ({ page, frame, pages, key }) => {
        const { kernel } = booted();
        const { mm } = kernel;
        const start = AT + page * 4096;
        kernel.call(() => mm.map(start, frame * 4096, pages * 4096, { key, writable: true }));
        const seen: unknown[] = [];
        const expected: unknown[] = [];
        for (let i = -1; i <= pages; i++) {
          seen.push(mapped(kernel, start + i * 4096));
          expected.push(i < 0 || i === pages ? null : { frame: (frame + i) * 4096, key });
        }
        expect(seen).toEqual(expected);
        kernel.call(() => mm.unmap(start, pages * 4096));
        for (let i = 0; i < pages; i++) expect(mapped(kernel, start + i * 4096)).toBe(null);
      }),
      { seed, numRuns: 30 },
    );
  });
});

describe('pages', () => {
  it('are handed out lowest first, zeroed, and again after they came back', () => {
    const { kernel } = booted();
    const { mm, machine } = kernel;
    kernel.call(() => {
      const one = mm.allocPage();
      const two = mm.allocPage();
      expect(two).toBe(one + 4096);
      machine.store32(mm.directAddress(one), 7);
      mm.freePage(one);
      expect(mm.allocPage()).toBe(one);
      expect(machine.load32(mm.directAddress(one))).toBe(0);
    });
  });

  it('run out with ENOMEM', () => {
    const { kernel } = booted({ memory: 4 * MIB });
    expect(() =>
      kernel.call(() => {
        for (;;) kernel.mm.allocPage();
      }),
    ).toThrow(/out of 4194304 bytes of RAM: boot with more memory/);
  });
});

describe('vmalloc', () => {
  it('gives zeroed pages with a guard page behind them, and vfree gives them back', () => {
    const { kernel } = booted();
    const { mm, machine } = kernel;
    kernel.call(() => {
      const first = mm.vmalloc(5000, { key: 4, writable: true });
      expect(first).toBe(VMALLOC_START);
      expect(machine.load32(first + 4996)).toBe(0);
      expect(machine.tryStore32(first + 8192, 1)).toBe(true);
      const frame = mm.lookup(first).frame;
      mm.vfree(first, 5000);
      expect(machine.tryStore32(first, 1)).toBe(true);
      expect(mm.allocPage()).toBe(frame);
    });
  });

  it('that finds no memory keeps nothing', () => {
    const { kernel } = booted({ memory: 4 * MIB });
    const free = (): number =>
      kernel.call(() => {
        const frame = kernel.mm.allocPage();
        kernel.mm.freePage(frame);
        return frame;
      });
    // The tables of the area stay; made once, they are not counted.
    kernel.call(() => kernel.mm.vfree(kernel.mm.vmalloc(4096, PAGE_KERNEL_PROT), 4096));
    const before = free();
    expect(() => kernel.call(() => kernel.mm.vmalloc(2 * MIB, PAGE_KERNEL_PROT))).toThrow(
      KernelError,
    );
    expect(free() - before).toBeLessThanOrEqual(4096);
  });
});
