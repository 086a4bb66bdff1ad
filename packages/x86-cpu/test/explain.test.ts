// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import {
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  explainEntries,
  explainWalk,
  formatWalk,
  IA32_PKRS,
  type Machine,
  PTE_P,
  PTE_RW,
  reservedHighBits,
} from '../src/index.ts';
import { BASE, readFault, withTables } from './support.ts';

/** Reasons against one kind of access. */
function reasons(machine: Machine, address: number, kind: string, mode: string): readonly string[] {
  const { accesses } = explainWalk(machine, address);
  const found = accesses.find((access) => access.kind === kind && access.mode === mode);
  return found?.reasons ?? ['no such access'];
}

describe('explainWalk', () => {
  it('names key register and bit', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, 0x20_0000, { key: 3 });
    machine.writeCr(4, machine.readCr(4) | CR4_PKS);
    machine.wrmsr(IA32_PKRS, 0b10 << 6);
    const walk = explainWalk(machine, BASE + 0x123);
    expect(walk).toMatchObject({ register: 'PKRS', physical: '0000000000200123', size: 4096 });
    expect(reasons(machine, BASE, 'read', 'supervisor')).toEqual([]);
    expect(reasons(machine, BASE, 'write', 'supervisor')).toEqual(['key 3: PKRS.WD3=1']);
    expect(formatWalk(walk)).toContain('supervisor write  #PF 0x23: key 3: PKRS.WD3=1');
    expect(readFault(machine, BASE)).toBeNull();
  });

  it('names SMAP, SMEP and PKRU on a user page', () => {
    const { machine, tables } = withTables();
    tables.map(BASE, 0x20_0000, { key: 3, user: true, noExecute: false });
    machine.writeCr(4, machine.readCr(4) | CR4_SMAP | CR4_SMEP | CR4_PKE);
    machine.wrpkru(0b01 << 6);
    expect(reasons(machine, BASE, 'read', 'supervisor')).toEqual([
      'a user page, CR4.SMAP=1 and RFLAGS.AC=0',
      'key 3: PKRU.AD3=1',
    ]);
    expect(reasons(machine, BASE, 'fetch', 'supervisor')).toEqual(['a user page, and CR4.SMEP=1']);
    expect(reasons(machine, BASE, 'read', 'user')).toEqual(['key 3: PKRU.AD3=1']);
  });

  it('stops where the walk does, and says so of addresses that are not canonical', () => {
    const { machine } = withTables();
    expect(reasons(machine, BASE, 'read', 'user')).toEqual(['PML4E: P=0, no translation']);
    const walk = explainWalk(machine, 2n ** 63n);
    expect(walk).toMatchObject({ canonical: false, entries: [], accesses: [] });
    expect(formatWalk(walk)).toContain('not canonical');
  });
});

describe('explainEntries', () => {
  const registers = { cr0: 0x8001_0001, cr4: 0, efer: 0xd00, ac: false, pkru: 0, pkrs: 0 };
  const format = {
    levels: 4,
    reservedHigh: reservedHighBits(46, true),
    gigabytePages: true,
  } as const;
  const table = BigInt(0x1000 | PTE_P | PTE_RW);

  it.each([
    ['reserved bit 50 set', [table, table, table, 2n ** 50n + 1n]],
    ['reserved bit 7 (PS) set', [table | 0x80n]],
    ["reserved bits of a 2 MiB page's address set", [table, table, 0x2083n]],
  ])('finds %s', (what, values) => {
    const entries = values.map((value) => ({ value, at: null }));
    const { accesses, physical } = explainEntries({ address: 0, entries, format, registers });
    expect(physical).toBeNull();
    expect(accesses[0]).toMatchObject({ errorCode: 9 });
    expect(accesses[0]?.reasons[0]).toContain(what);
  });

  it('translates through a large page', () => {
    const entries = [table, 0x4000_0083n].map((value) => ({ value, at: null }));
    const walk = explainEntries({ address: 0x1234_5678, entries, format, registers });
    expect(walk).toMatchObject({ physical: '0000000052345678', size: 2 ** 30 });
  });
});
