// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import {
  CR0_WP,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKS,
  CR4_SMEP,
  entryHigh,
  entryLow,
  FAULTED,
  IA32_PKRS,
  Invpcid,
  type Machine,
  Op,
  type PageTables,
  PTE_A,
  PTE_D,
  PTE_P,
  PTE_RW,
} from '../src/index.ts';
import { attempt, BASE, readFault, withTables, writeFault } from './support.ts';

const FRAME = 0x20_0000;
const FLAGS = PTE_P | PTE_RW | PTE_A | PTE_D;
const closed = (key: number): number => 1 << (key * 2);

/** Writes the leaf of a 4 KiB page, with no invalidation. */
function rekey(machine: Machine, tables: PageTables, address: number, key: number): void {
  const slot = tables.entryAddress(Math.floor(address / 4096), 1);
  machine.writeEntry(slot, entryLow(FRAME, FLAGS), entryHigh(FRAME, key, false));
}

/** A machine with CR4.PKS set, key 6 closed, and a page with key 5. */
function withKeys(): { machine: Machine; tables: PageTables } {
  const made = withTables();
  made.tables.map(BASE, FRAME, { key: 5 });
  made.machine.writeCr(4, made.machine.readCr(4) | CR4_PKS);
  made.machine.wrmsr(IA32_PKRS, closed(6));
  return made;
}

describe('a stale translation', () => {
  it('keeps the old key until INVLPG', () => {
    const { machine, tables } = withKeys();
    expect(readFault(machine, BASE)).toBeNull();
    rekey(machine, tables, BASE, 6);
    expect(readFault(machine, BASE)).toBeNull();
    machine.invlpg(BASE + 8);
    expect(readFault(machine, BASE)).toBe(0x21);
  });

  it('obeys PKRS as it is now', () => {
    const { machine } = withKeys();
    machine.load32(BASE);
    machine.wrmsr(IA32_PKRS, closed(5));
    expect(readFault(machine, BASE)).toBe(0x21);
    machine.wrmsr(IA32_PKRS, 0);
    expect(readFault(machine, BASE)).toBeNull();
  });

  it('goes with the page fault that it caused', () => {
    const { machine, tables } = withKeys();
    rekey(machine, tables, BASE, 6);
    expect(readFault(machine, BASE)).toBe(0x21);
    rekey(machine, tables, BASE, 5);
    expect(readFault(machine, BASE)).toBeNull();
  });

  it('raises a spurious fault once, if the machine is asked for those', () => {
    const { machine, tables } = withTables({ behaviours: { spuriousFaults: true } });
    tables.map(BASE, FRAME, { writable: false });
    machine.load32(BASE);
    rekey(machine, tables, BASE, 0);
    expect(writeFault(machine, BASE)).toBe(3);
    expect(writeFault(machine, BASE)).toBeNull();
  });

  it('keeps A and D: cleared bits are not set again', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, FRAME);
    machine.store32(BASE, 1);
    const slot = tables.entryAddress(BASE / 4096, 1);
    expect(machine.readEntry(slot) & (PTE_A | PTE_D)).toBe(PTE_A | PTE_D);
    machine.writeEntry(slot, entryLow(FRAME, PTE_P | PTE_RW), 0);
    machine.store32(BASE, 2);
    expect(machine.readEntry(slot) & (PTE_A | PTE_D)).toBe(0);
  });

  it('sets D at the first write after a read', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, FRAME);
    machine.load32(BASE);
    const slot = tables.entryAddress(BASE / 4096, 1);
    expect(machine.readEntry(slot) & (PTE_A | PTE_D)).toBe(PTE_A);
    machine.store32(BASE, 1);
    expect(machine.readEntry(slot) & PTE_D).toBe(PTE_D);
  });
});

describe('invalidation', () => {
  it('of any address of a large page drops all of it', () => {
    for (const size of [0x20_0000, 0x4000_0000] as const) {
      const { machine, tables } = withTables();
      tables.map(0, 0, { size });
      for (const at of [0x10_0000, 0x10_1000, 0x5_0000]) machine.load32(at);
      const slot = tables.entryAddress(0, size === 0x20_0000 ? 2 : 3);
      machine.writeEntry(slot, 0, 0);
      expect(readFault(machine, 0x5_0008)).toBeNull();
      machine.invlpg(0x8000);
      expect(readFault(machine, 0x5_0008)).toBe(0);
      expect(readFault(machine, 0x10_1000)).toBe(0);
    }
  });

  it('of one page leaves its neighbours', () => {
    const { machine, tables } = withTables();
    tables.mapRange(BASE, FRAME, 8192);
    machine.load32(BASE);
    machine.load32(BASE + 4096);
    for (const page of [0, 1]) machine.writeEntry(tables.entryAddress(BASE / 4096 + page, 1), 0, 0);
    machine.invlpg(BASE);
    expect(readFault(machine, BASE)).toBe(0);
    expect(readFault(machine, BASE + 4096)).toBeNull();
  });

  it('by CR3 leaves global pages, by CR4.PGE does not', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, FRAME, { global: true });
    tables.map(BASE + 4096, FRAME);
    machine.load32(BASE);
    machine.load32(BASE + 4096);
    for (const page of [0, 1]) machine.writeEntry(tables.entryAddress(BASE / 4096 + page, 1), 0, 0);
    machine.writeCr(3, tables.root);
    expect(readFault(machine, BASE)).toBeNull();
    expect(readFault(machine, BASE + 4096)).toBe(0);
    machine.writeCr(4, machine.readCr(4) & ~CR4_PGE);
    expect(readFault(machine, BASE)).toBe(0);
  });

  it('happens when CR4.SMEP is set, not when CR0.WP, CR4.PKS or PKRS change', () => {
    const { machine, tables } = withKeys();
    machine.load32(BASE);
    machine.writeEntry(tables.entryAddress(BASE / 4096, 1), 0, 0);
    machine.writeCr(0, machine.readCr(0) & ~CR0_WP);
    machine.writeCr(4, machine.readCr(4) & ~CR4_PKS);
    machine.wrmsr(IA32_PKRS, 0);
    expect(readFault(machine, BASE)).toBeNull();
    machine.writeCr(4, machine.readCr(4) | CR4_SMEP);
    expect(readFault(machine, BASE)).toBe(0);
  });

  it('happens by itself where two pages want one slot: the TLB is finite', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, FRAME);
    tables.map(BASE + 1024 * 4096, FRAME);
    machine.load32(BASE);
    machine.writeEntry(tables.entryAddress(BASE / 4096, 1), 0, 0);
    machine.load32(BASE + 1024 * 4096);
    expect(readFault(machine, BASE)).toBe(0);
  });
});

describe('process contexts', () => {
  /** Two contexts over the same tables, a cached page in context 1, which its entry no longer maps. */
  function contexts(global = false): { machine: Machine; tables: PageTables } {
    const { machine, tables } = withTables();
    tables.map(BASE, FRAME, { global });
    machine.writeCr(4, machine.readCr(4) | CR4_PCIDE);
    machine.writeCr(3, tables.root + 1);
    machine.load32(BASE);
    machine.writeEntry(tables.entryAddress(BASE / 4096, 1), 0, 0);
    return { machine, tables };
  }

  it('have translations of their own, which come back with bit 63', () => {
    const { machine, tables } = contexts();
    machine.writeCr(3, tables.root + 2);
    expect(readFault(machine, BASE)).toBe(0);
    machine.writeCr(3, tables.root + 1, true);
    expect(readFault(machine, BASE)).toBeNull();
  });

  it('lose them when they are made current without bit 63', () => {
    const { machine, tables } = contexts();
    machine.writeCr(3, tables.root + 2, true);
    machine.writeCr(3, tables.root + 1);
    expect(readFault(machine, BASE)).toBe(0);
  });

  it('share global translations', () => {
    const { machine, tables } = contexts(true);
    machine.writeCr(3, tables.root + 2);
    expect(readFault(machine, BASE)).toBeNull();
  });

  it.each([
    ['an address of another context', Invpcid.address, 1, 0],
    ['another context', Invpcid.context, 1, 0],
    ['all contexts', Invpcid.all, 0, 0],
    ['all contexts and global pages', Invpcid.allWithGlobal, 0, 0],
    ['not this context', Invpcid.context, 2, null],
    ['not this address', Invpcid.address, 2, null],
  ])('are invalidated by INVPCID: %s', (_name, type, context, expected) => {
    const { machine, tables } = contexts();
    machine.writeCr(3, tables.root + 2, true);
    machine.invpcid(type, context, BASE);
    machine.writeCr(3, tables.root + 1, true);
    expect(readFault(machine, BASE)).toBe(expected);
  });

  it('give #GP for a descriptor that is not one', () => {
    const { machine } = contexts();
    expect(attempt(machine, Op.invpcid, 4, 0, 0)?.vector).toBe(13);
    expect(attempt(machine, Op.invpcid, 0, 0x1000, 0)?.vector).toBe(13);
    expect(attempt(machine, Op.invpcid, 0, 1, 2 ** 47)?.vector).toBe(13);
    machine.writeCr(3, machine.readCr(3) - 1);
    machine.writeCr(4, machine.readCr(4) & ~CR4_PCIDE);
    expect(attempt(machine, Op.invpcid, 1, 1, 0)?.vector).toBe(13);
  });
});

describe('an explorer', () => {
  it('saves, empties and restores what every TLB holds', () => {
    const { machine, tables } = withTables({ cpus: 2 });
    tables.map(BASE, FRAME);
    tables.map(BASE + 0x40_0000, 0x40_0000, { size: 0x20_0000 });
    machine.load32(BASE);
    machine.load32(BASE + 0x40_1000);
    for (const [page, level] of [
      [0, 1],
      [1024, 2],
    ] as const) {
      machine.writeEntry(tables.entryAddress(BASE / 4096 + page, level), 0, 0);
    }
    const saved = machine.saveTlbs();
    machine.flushAllTlbs();
    expect(machine.execute(Op.load32, BASE, 0, 0, 0)).toBe(FAULTED);
    machine.restoreTlbs(saved);
    expect(readFault(machine, BASE)).toBeNull();
    expect(readFault(machine, BASE + 0x40_1000)).toBeNull();
    machine.invlpg(BASE + 0x40_0000);
    expect(readFault(machine, BASE + 0x40_1000)).toBe(0);
  });

  it('hears of every byte before it changes, A and D of the processor included', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, FRAME);
    const old: [number, number][] = [];
    machine.journal = {
      cell: () => {},
      bytes: (chunk, offset, length) => old.push([chunk.index * 0x20_0000 + offset, length]),
    };
    machine.store32(BASE, 1);
    machine.store32(BASE, 2);
    machine.fill(BASE, 3, 100);
    expect(old.slice(-3)).toEqual([
      [FRAME, 4],
      [FRAME, 4],
      [FRAME, 100],
    ]);
    // One locked or for each level of the walk.
    expect(old).toHaveLength(7);
  });
});
