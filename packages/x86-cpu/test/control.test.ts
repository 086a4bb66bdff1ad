// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import {
  CR0_PE,
  CR0_PG,
  CR4_LA57,
  CR4_MCE,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PKE,
  CR4_PKS,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  EFER_SCE,
  IA32_EFER,
  IA32_PKRS,
  Machine,
  Op,
  SAVED_AC,
  SAVED_IF,
  SAVED_USER,
} from '../src/index.ts';
import { resetToLongMode5 } from './fixtures.ts';
import { attempt } from './support.ts';

/** Every register of CPU 0. */
function snapshot(machine: Machine): number[] {
  return Object.values(machine.registers).map((column) => column.values[0]);
}

/** Expects #GP(0) with the state as it was. */
function expectRefused(machine: Machine, kind: number, a = 0, b = 0, c = 0, d = 0): void {
  const before = snapshot(machine);
  expect(attempt(machine, kind, a, b, c, d)).toMatchObject({ vector: 13, code: 0 });
  expect(snapshot(machine)).toEqual(before);
}

describe('IA32_PKRS', () => {
  it('works with CR4.PKS=0, and its value survives 0 to 1 to 0', () => {
    const machine = new Machine();
    machine.wrmsr(IA32_PKRS, 0xffff_fff0);
    machine.writeCr(4, machine.readCr(4) | CR4_PKS);
    machine.writeCr(4, machine.readCr(4) & ~CR4_PKS);
    expect(machine.rdmsr(IA32_PKRS)).toBe(0xffff_fff0);
    expect(machine.resultHigh).toBe(0);
  });

  it('has no bits above 31', () => {
    expectRefused(new Machine(), Op.wrmsr, IA32_PKRS, 0, 1, 1);
  });

  it('is there only with the feature, and so is its CR4 bit', () => {
    const machine = new Machine({ model: 'skylake-sp' });
    expectRefused(machine, Op.rdmsr, IA32_PKRS);
    expectRefused(machine, Op.wrmsr, IA32_PKRS, 0, 1, 0);
    expectRefused(machine, Op.writeCr, 4, 0, machine.readCr(4) | CR4_PKS);
    machine.writeCr(4, machine.readCr(4) | CR4_PKE);
    expectRefused(new Machine({ model: 'haswell' }), Op.writeCr, 4, 0, CR4_PAE | CR4_PKE);
  });

  it('is 0 after RESET and kept by INIT', () => {
    const machine = new Machine();
    machine.wrmsr(IA32_PKRS, 0x55);
    machine.init(0);
    expect(machine.rdmsr(IA32_PKRS)).toBe(0x55);
    expect(machine.readCr(4)).toBe(0);
    machine.reset(0);
    expect(machine.rdmsr(IA32_PKRS)).toBe(0);
    expect(machine.readCr(0)).toBe(0x6000_0010);
  });
});

describe('MSRs', () => {
  it('raise #GP(0) if they do not exist, or in user mode', () => {
    const machine = new Machine();
    expectRefused(machine, Op.rdmsr, 0x6e2);
    expectRefused(machine, Op.wrmsr, 0x6e2, 0, 1, 0);
    machine.registers.cpl.poke(0, 3);
    expectRefused(machine, Op.rdmsr, IA32_PKRS);
    expectRefused(machine, Op.readCr, 4);
    expectRefused(machine, Op.cli);
    expectRefused(machine, Op.invlpg);
  });

  it('keep EFER.LMA read-only, LME fixed while paging, and reserved bits clear', () => {
    const machine = new Machine();
    machine.wrmsr(IA32_EFER, EFER_LME);
    expect(machine.rdmsr(IA32_EFER)).toBe(EFER_LME | EFER_LMA);
    expectRefused(machine, Op.wrmsr, IA32_EFER, 0, EFER_NXE, 0);
    expectRefused(machine, Op.wrmsr, IA32_EFER, 0, EFER_LME | 2, 0);
    expectRefused(machine, Op.wrmsr, IA32_EFER, 0, EFER_LME, 1);
  });
});

describe('control registers', () => {
  it('refuse reserved bits, and in 64-bit mode PAE, PG, PE and LA57 as they are', () => {
    const machine = new Machine();
    const cr4 = machine.readCr(4);
    const cr0 = machine.readCr(0);
    for (const bit of [13, 14, 15, 19, 23, 25, 26, 27, 28, 31]) {
      expectRefused(machine, Op.writeCr, 4, 0, (cr4 | (1 << bit)) >>> 0);
    }
    expectRefused(machine, Op.writeCr, 4, 0, cr4 + 2 ** 32);
    expectRefused(machine, Op.writeCr, 4, 0, cr4 & ~CR4_PAE);
    expectRefused(machine, Op.writeCr, 4, 0, cr4 | CR4_LA57);
    expectRefused(machine, Op.writeCr, 0, 0, cr0 - CR0_PG);
    expectRefused(machine, Op.writeCr, 0, 0, cr0 & ~CR0_PE);
    expectRefused(machine, Op.writeCr, 0, 0, cr0 + 2 ** 32);
    expectRefused(machine, Op.writeCr, 0, 0, (cr0 | (1 << 29)) >>> 0);
    expectRefused(machine, Op.writeCr, 3, 0, 2 ** 46);
  });

  it('take PCIDE only with a clear context in CR3, and bit 63 of CR3 only with PCIDE', () => {
    const machine = new Machine();
    const cr4 = machine.readCr(4);
    expectRefused(machine, Op.writeCr, 3, 0, 0x1000, 1);
    machine.writeCr(3, 0x1001);
    expectRefused(machine, Op.writeCr, 4, 0, cr4 | CR4_PCIDE);
    machine.writeCr(3, 0x1000);
    machine.writeCr(4, cr4 | CR4_PCIDE);
    machine.writeCr(3, 0x1001, true);
    expect(machine.readCr(3)).toBe(0x1001);
  });

  it('reach 5-level long mode from RESET, and not without the feature', () => {
    expect(resetToLongMode5().rdmsr(IA32_EFER)).toBe(EFER_LME | EFER_LMA | EFER_NXE);
    const machine = new Machine({ model: 'haswell' });
    machine.reset(0);
    expectRefused(machine, Op.writeCr, 4, 0, CR4_PAE | CR4_LA57);
    machine.wrmsr(IA32_EFER, EFER_LME);
    expectRefused(machine, Op.writeCr, 0, 0, CR0_PG);
    expectRefused(machine, Op.writeCr, 0, 0, CR0_PG + CR0_PE);
    machine.wrmsr(IA32_EFER, 0);
    machine.writeCr(4, CR4_PAE);
    expect(() => machine.writeCr(0, CR0_PG + CR0_PE)).toThrow(/not modelled/);
  });
});

describe('RDPKRU and WRPKRU', () => {
  it('are #UD with CR4.PKE=0 at any CPL, and work in user mode', () => {
    const machine = new Machine();
    expect(attempt(machine, Op.rdpkru)?.vector).toBe(6);
    expect(attempt(machine, Op.wrpkru, 0, 0, 4, 0)?.vector).toBe(6);
    machine.writeCr(4, machine.readCr(4) | CR4_PKE | CR4_MCE);
    machine.registers.cpl.poke(0, 3);
    machine.wrpkru(0x5555_5554);
    expect(machine.rdpkru()).toBe(0x5555_5554);
    expectRefused(machine, Op.rdpkru, 1);
    expectRefused(machine, Op.wrpkru, 1, 0, 0, 0);
    expectRefused(machine, Op.wrpkru, 0, 0, 0, 1);
    machine.registers.cpl.poke(0, 0);
    machine.writeCr(4, machine.readCr(4) & ~CR4_PKE);
    machine.writeCr(4, machine.readCr(4) | CR4_PKE);
    expect(machine.rdpkru()).toBe(0x5555_5554);
  });
});

describe('SYSCALL', () => {
  it('leads from CPL 3 to 0 with IF and AC clear, and is #UD with EFER.SCE=0', () => {
    const machine = new Machine();
    const { cpl, interruptFlag, ac } = machine.registers;
    machine.iret(SAVED_IF | SAVED_USER | SAVED_AC, 0);
    expect([cpl.values[0], interruptFlag.values[0], ac.values[0]]).toEqual([3, 1, 1]);
    machine.syscall();
    expect([cpl.values[0], interruptFlag.values[0], ac.values[0]]).toEqual([0, 0, 0]);
    machine.wrmsr(IA32_EFER, machine.rdmsr(IA32_EFER) & ~EFER_SCE);
    expect(attempt(machine, Op.syscall)?.vector).toBe(6);
  });
});
