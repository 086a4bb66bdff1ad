// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import {
  CR0_WP,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  FIXED_UP,
  IA32_PKRS,
  loadAt,
  Machine,
  Op,
  PageTables,
  readCr2,
  resetToLongMode5,
  STACK,
  storeAt,
  waitedCells,
} from './fixtures.ts';
import { attempt, BASE, readFault, recordingHandlers, withTables, writeFault } from './support.ts';

const AD = (key: number): number => 1 << (key * 2);
const WD = (key: number): number => 2 << (key * 2);

describe('scalar accesses', () => {
  it('load what was stored, at every size and alignment, also over a page boundary', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, 0x20_0000);
    tables.map(BASE + 4096, 0x50_0000);
    for (const at of [BASE, BASE + 1, BASE + 3, BASE + 4094, BASE + 4093]) {
      machine.store32(at, 0x89ab_cdef);
      expect(machine.load32(at)).toBe(0x89ab_cdef);
      expect(machine.load8(at + 1)).toBe(0xcd);
      expect(machine.load16(at + 2)).toBe(0x89ab);
    }
    for (const at of [BASE, BASE + 8, BASE + 4092, BASE + 4089]) {
      machine.store64(at, 0xfedc_ba98_7654_3210n);
      expect(machine.load64(at)).toBe(0xfedc_ba98_7654_3210n);
    }
    machine.store8(BASE + 4095, 7);
    machine.store16(BASE + 4095, 0x0908);
    expect(machine.load8(BASE + 4095)).toBe(8);
    expect(machine.memory.chunkAt(0x50_0000).bytes[0x10_0000]).toBe(9);
  });

  it('adds under a lock and returns the old value', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, 0x20_0000);
    tables.map(BASE + 4096, 0x50_0000);
    machine.store32(BASE + 4094, 0xffff_ffff);
    expect(machine.xadd32(BASE + 4094, 2)).toBe(0xffff_ffff);
    expect(machine.load32(BASE + 4094)).toBe(1);
    machine.store64(BASE, 0xffff_ffffn);
    machine.execute(Op.xadd64, BASE, 0, 1, 0);
    expect(machine.load64(BASE)).toBe(0x1_0000_0000n);
  });

  it('changes nothing when the second page of a store refuses', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, 0x20_0000);
    tables.map(BASE + 4096, 0x50_0000, { writable: false });
    expect(attempt(machine, Op.store64, BASE + 4092, 0, 1, 1)).toEqual({
      vector: 14,
      code: 3,
      address: BASE + 4096,
    });
    expect(machine.load32(BASE + 4092)).toBe(0);
  });
});

describe('protection keys on the running machine', () => {
  it('refuses by PKRS as soon as CR4.PKS is set, and not before', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, 0x20_0000, { key: 3 });
    machine.wrmsr(IA32_PKRS, AD(3));
    expect(machine.load32(BASE)).toBe(0);
    machine.writeCr(4, machine.readCr(4) | CR4_PKS);
    expect(readFault(machine, BASE)).toBe(0x21);
    machine.writeCr(4, machine.readCr(4) & ~CR4_PKS);
    expect(readFault(machine, BASE)).toBeNull();
  });

  it('refuses by PKRU on a user page, whatever PKRS says', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, 0x20_0000, { key: 3, user: true });
    machine.writeCr(4, machine.readCr(4) | CR4_PKS | CR4_PKE);
    machine.wrmsr(IA32_PKRS, AD(3));
    expect(readFault(machine, BASE)).toBeNull();
    machine.wrpkru(WD(3));
    expect(readFault(machine, BASE)).toBeNull();
    expect(writeFault(machine, BASE)).toBe(0x23);
    machine.writeCr(0, machine.readCr(0) & ~CR0_WP);
    expect(writeFault(machine, BASE)).toBeNull();
  });

  it('lets CR0.WP, SMAP, AC and SMEP count at once', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, 0x20_0000, { user: true, noExecute: false });
    tables.map(BASE + 4096, 0x20_1000, { writable: false });
    expect(writeFault(machine, BASE + 4096)).toBe(3);
    machine.writeCr(0, machine.readCr(0) & ~CR0_WP);
    expect(writeFault(machine, BASE + 4096)).toBeNull();
    machine.writeCr(0, machine.readCr(0) | CR0_WP);
    expect(writeFault(machine, BASE + 4096)).toBe(3);
    expect(attempt(machine, Op.fetch, BASE)).toBeNull();
    expect(readFault(machine, BASE)).toBeNull();
    machine.writeCr(4, machine.readCr(4) | CR4_SMAP | CR4_SMEP);
    expect(readFault(machine, BASE)).toBe(1);
    expect(attempt(machine, Op.fetch, BASE)?.code).toBe(0x11);
    machine.stac();
    expect(readFault(machine, BASE)).toBeNull();
    machine.clac();
    expect(readFault(machine, BASE)).toBe(1);
  });

  it('undoes a store to a register by poke, and the rights follow', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, 0x20_0000, { key: 1 });
    machine.writeCr(4, machine.readCr(4) | CR4_PKS);
    machine.load32(BASE);
    machine.wrmsr(IA32_PKRS, AD(1));
    machine.registers.pkrs.poke(0, 0);
    expect(readFault(machine, BASE)).toBeNull();
  });
});

describe('canonical addresses', () => {
  it('raises #GP beyond them, #SS through the stack segment, before any page is looked at', () => {
    const { machine } = withTables();
    const edge = 2 ** 47;
    expect(attempt(machine, Op.load32, edge)?.vector).toBe(13);
    expect(attempt(machine, Op.load64 | STACK, edge)?.vector).toBe(12);
    expect(attempt(machine, Op.load64, edge - 4)?.vector).toBe(13);
    expect(attempt(machine, Op.load32, edge - 4)?.vector).toBe(14);
    expect(attempt(machine, Op.load32, -edge - 4)?.vector).toBe(13);
    expect(attempt(machine, Op.invlpg, edge)).toBeNull();
  });
});

describe('5-level paging', () => {
  it('reaches the whole 57-bit space, exact to the byte', () => {
    const machine = resetToLongMode5();
    const tables = new PageTables(machine, 0x10000, 5);
    machine.writeCr(3, tables.root);
    const far = 0xff11_0000_0000_1000n;
    tables.map(far, 0x20_0000, { key: 2 });
    storeAt(machine, far + 9n, 8, 0x1122_3344_5566_7788n);
    expect(loadAt(machine, far + 9n, 8)).toBe(0x1122_3344_5566_7788n);
    expect(machine.memory.chunkAt(0x20_0000).bytes[9]).toBe(0x88);
    machine.writeCr(4, machine.readCr(4) | CR4_PKS);
    machine.wrmsr(IA32_PKRS, AD(2));
    const log: string[] = [];
    machine.handlers = recordingHandlers(machine, log);
    expect(
      machine.operate(Op.load8 | 0x400 | 0x80, Number((far - 2n ** 64n) >> 12n), 9, 0, 0),
    ).toBe(FIXED_UP);
    expect(readCr2(machine)).toBe(far + 9n);
    expect(attempt(machine, Op.load32 | 0x400, 2 ** 44, 0)?.vector).toBe(13);
  });
});

describe('operations that wait', () => {
  const field = { type: 'u32', initial: 0, per: 'object', count: 2 } as const;
  const machine = new Machine();
  const x = machine.column({ name: 'x', ...field });
  const y = machine.column({ name: 'y', ...field });
  const asked: number[][] = [];
  const record = (act: () => void): number[] => {
    machine.hook = {
      operate(kind, a, b, c) {
        asked.push([kind, a, b, c]);
        return 0;
      },
    };
    act();
    machine.hook = null;
    return asked.at(-1) as number[];
  };
  const [kind = 0, a = 0, b = 0, c = 0] = record(() =>
    machine.retryAny({ column: x, index: 1, seen: 0 }, { column: y, index: 0, seen: 7 }),
  );

  it.each([
    [0, 7, false],
    [1, 7, true],
    [0, 6, true],
    [1, 6, true],
  ])('a retry of two cells with %i and %i goes on: %s', (one, other, goesOn) => {
    x.set(1, one);
    y.set(0, other);
    expect(machine.canExecute(kind, a, b, c)).toBe(goesOn);
  });

  it('are the same operation whenever they are asked for, and another one for other cells', () => {
    const again = record(() =>
      machine.retryAny({ column: x, index: 1, seen: 0 }, { column: y, index: 0, seen: 7 }),
    );
    expect(again).toEqual([kind, a, b, c]);
    const other = record(() =>
      machine.retryAny({ column: x, index: 1, seen: 0 }, { column: y, index: 0, seen: 8 }),
    );
    expect(other).not.toEqual(again);
  });

  it('name their cells, and what these must hold', () => {
    const of = (op: number, index: number, value: number) =>
      waitedCells(machine.columns, op, x.id, index, value);
    expect(waitedCells(machine.columns, kind, a, b, c)).toEqual([
      { column: x, index: 1, value: 0, equal: false },
      { column: y, index: 0, value: 7, equal: false },
    ]);
    expect(of(Op.lock, 1, 5)).toEqual([{ column: x, index: 1, value: 0, equal: true }]);
    expect(of(Op.wait, 1, 5)).toEqual([{ column: x, index: 1, value: 5, equal: true }]);
    expect(of(Op.retry, 1, 5)).toEqual([{ column: x, index: 1, value: 5, equal: false }]);
    expect(of(Op.get, 1, 5)).toEqual([]);
  });
});
