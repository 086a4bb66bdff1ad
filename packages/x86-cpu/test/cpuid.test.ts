// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { CR4_PKE, Machine } from '../src/index.ts';

describe('cpuid', () => {
  it('announces PKS apart from PKU, and OSPKE as CR4.PKE is', () => {
    const machine = new Machine({ model: 'skylake-sp' });
    expect(machine.cpuid(7).ecx).toBe(0b1000);
    machine.writeCr(4, machine.readCr(4) | CR4_PKE);
    expect(machine.cpuid(7).ecx).toBe(0b11000);
    expect(new Machine({ features: { pku: false } }).cpuid(7).ecx >>> 31).toBe(1);
    expect(new Machine({ model: 'haswell' }).cpuid(7).ecx).toBe(0);
    expect(machine.cpuid(7, 1)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
  });

  it('gives address widths, NX, 1 GiB pages and long mode', () => {
    expect(new Machine().cpuid(0x8000_0008).eax).toBe(46 | (57 << 8));
    expect(new Machine({ model: 'haswell' }).cpuid(0x8000_0008).eax).toBe(39 | (48 << 8));
    expect(new Machine().cpuid(0x8000_0001).edx).toBe(
      (1 << 11) | (1 << 20) | (1 << 26) | (1 << 29),
    );
    expect(new Machine().cpuid(1).eax).toBe(0x806f8);
    expect(new Machine().cpuid(0).eax).toBe(7);
    expect(new Machine().cpuid(0x8000_0000).eax).toBe(0x8000_0008);
  });

  it('refuses a model that it does not know', () => {
    expect(() => new Machine({ model: 'z80' as 'haswell' })).toThrow(/sapphire-rapids/);
  });
});
