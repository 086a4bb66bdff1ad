// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { CR4_PKS, IA32_PKRS, PTE_A, PTE_D } from '../src/index.ts';
import { BASE, readFault, withTables } from './support.ts';

describe('behaviours', () => {
  it.each([
    [true, 0x25],
    [false, 0x05],
  ])(
    'keyBitOnSupervisorPage %s: a user access to a closed supervisor page has code %i',
    (set, code) => {
      const { machine, tables } = withTables({ behaviours: { keyBitOnSupervisorPage: set } });
      tables.map(BASE, 0x20_0000, { key: 1 });
      machine.writeCr(4, machine.readCr(4) | CR4_PKS);
      machine.wrmsr(IA32_PKRS, 0b01 << 2);
      machine.registers.cpl.poke(0, 3);
      expect(readFault(machine, BASE)).toBe(code);
      machine.registers.cpl.poke(0, 0);
      expect(readFault(machine, BASE)).toBe(0x21);
    },
  );

  it.each([
    [false, 0],
    [true, PTE_A],
  ])('accessedOnFault %s: a faulting walk leaves %i in the entries above the leaf', (set, left) => {
    const { machine, tables } = withTables({ behaviours: { accessedOnFault: set } });
    tables.map(BASE, 0x20_0000, { key: 1 });
    machine.writeCr(4, machine.readCr(4) | CR4_PKS);
    machine.wrmsr(IA32_PKRS, 0b01 << 2);
    expect(readFault(machine, BASE)).toBe(0x21);
    const page = BASE / 4096;
    for (const level of [2, 3, 4]) {
      expect(machine.readEntry(tables.entryAddress(page, level)) & PTE_A).toBe(left);
    }
    expect(machine.readEntry(tables.entryAddress(page, 1)) & (PTE_A | PTE_D)).toBe(0);
  });
});
