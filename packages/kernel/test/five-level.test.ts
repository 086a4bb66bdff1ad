// SPDX-License-Identifier: MIT
// A boot with CR4.LA57: tables of 5 levels under the same kernel.
import { CR4_LA57 } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { type BootOptions, PAGE_OFFSET, TaskKilled } from '../src/index.ts';
import { booted, RAM, reported, WILD } from './support.ts';

const FIVE: BootOptions = { cpus: 2, config: { X86_5LEVEL: true } };
/** Canonical with 57 address bits, not with 48. */
const LOW = -(2 ** 52);

describe('a boot with 5-level paging', () => {
  it('has LA57 on every CPU, also on one that went down and came up, and says so', () => {
    const { kernel } = booted(FIVE);
    const { hotplug, machine, mm } = kernel;
    expect(mm.levels).toBe(5);
    expect(kernel.call(() => [hotplug.down(1), hotplug.up(1)])).toEqual([0, 0]);
    const la57 = [...machine.registers.cr4.values].map((cr4) => (cr4 & CR4_LA57) !== 0);
    expect(la57).toEqual([true, true]);
    expect(kernel.dmesg[1]).toBe('pkslab: 5-level paging');
  });

  it('reads and writes the direct map and vmalloc memory, and keeps keys in leaves', () => {
    const { kernel } = booted(FIVE);
    const { machine, mm } = kernel;
    kernel.call(() => machine.store32(RAM, 7));
    expect(kernel.call(() => machine.load32(RAM))).toBe(7);
    const page = kernel.call(() => mm.vmalloc(8192, { key: 3, writable: true }));
    kernel.call(() => machine.store32(page + 4096, 9));
    expect(mm.lookup(page)).toMatchObject({ present: true, key: 3, depth: 5 });
    expect(kernel.call(() => mm.setKey(PAGE_OFFSET + 0x20_1000, 4096, 5))).toBe(true);
    expect(mm.lookup(PAGE_OFFSET + 0x20_1000).key).toBe(5);
    kernel.call(() => mm.vfree(page, 8192));
    expect(kernel.call(() => machine.tryStore32(page, 1))).toBe(true);
  });

  it('maps addresses that 4 levels do not have, which are a #GP there', () => {
    const { kernel } = booted(FIVE);
    kernel.call(() => kernel.mm.map(LOW, 0x100_0000, 4096, { key: 0, writable: true }));
    kernel.call(() => kernel.machine.store32(LOW, 11));
    expect(kernel.call(() => kernel.machine.load32(RAM))).toBe(11);
    const four = booted().kernel;
    expect(() => four.call(() => four.machine.load32(LOW))).toThrow(
      'probably for non-canonical address 0xfff0000000000000',
    );
  });

  it('shows five entries in an oops', () => {
    const { kernel } = booted(FIVE);
    const page = kernel.call(() => kernel.mm.vmalloc(4096, { key: 0, writable: false }));
    expect(() => kernel.call(() => kernel.machine.store32(page, 1))).toThrow(TaskKilled);
    const words = (reported(kernel)[4] as string).split(' ');
    expect(words.filter((_word, i) => i % 2 === 0)).toEqual(['PGD', 'P4D', 'PUD', 'PMD', 'PTE']);
    expect(words[1]).not.toBe(words[3]);
    kernel.printk.clear();
    expect(() => kernel.call(() => kernel.machine.load32(WILD))).toThrow(TaskKilled);
    expect(kernel.dmesg[3]).toMatch(/^PGD [1-9a-f]\w* P4D 0$/);
  });

  it('has 4 levels on a CPU without LA57, and where nobody asks', () => {
    expect(booted({ ...FIVE, features: { la57: false } }).kernel.mm.levels).toBe(4);
    expect(booted().kernel.mm.levels).toBe(4);
  });
});
