// SPDX-License-Identifier: MIT
// The rows of kvm-unit-tests' x86/pks and their mirror in x86/pku, as facts, on the running machine.

import { describe, expect, it } from 'vitest';
import { CR0_WP, CR4_PKE, CR4_PKS, IA32_PKRS, type Machine, Outcome } from '../src/index.ts';
import { recordingHandlers, withTables } from './support.ts';

const KEY = 2;
const AD = 0x10;
const WD = 0x20;
const USER = 0x40_0000;
/** The alias of the user pages, 32 MiB above, with supervisor rights. */
const SUPERVISOR = USER + (2 << 24);
const FRAME = 0x60_0000;

/** Two pages over one frame, one user and one supervisor, both with key 2; the handler opens the register. */
function setUp(register: 'pkrs' | 'pkru'): {
  machine: Machine;
  seen: { faults: number; save: number; code: number };
} {
  const { machine, tables } = withTables();
  tables.map(USER, FRAME, { user: true, key: KEY });
  tables.map(SUPERVISOR, FRAME, { key: KEY });
  machine.writeCr(4, machine.readCr(4) | (register === 'pkrs' ? CR4_PKS : CR4_PKE));
  const seen = { faults: 0, save: 0, code: 0 };
  machine.handlers = {
    ...recordingHandlers(machine, []),
    pageFault: (code, _address, saved) => {
      seen.faults++;
      seen.code = code;
      seen.save = machine.memory.chunkAt(FRAME).words[0] ?? -1;
      if (register === 'pkrs') machine.wrmsr(IA32_PKRS, 0);
      else machine.wrpkru(0);
      machine.iret(saved, 0);
      return Outcome.retry;
    },
  };
  return { machine, seen };
}

function setWp(machine: Machine, wp: number): void {
  const cr0 = machine.readCr(0) & ~CR0_WP;
  machine.writeCr(0, wp === 1 ? cr0 | CR0_WP : cr0);
}

describe('pks', () => {
  const { machine, seen } = setUp('pkrs');

  it.each([
    // WP, PKRS, page, value, faults, save
    [1, AD, SUPERVISOR, 21, 1, 0],
    [0, AD, SUPERVISOR, 22, 1, 21],
    [1, WD, SUPERVISOR, 23, 1, 22],
    [0, WD, SUPERVISOR, 24, 0, 0],
    [0, WD, USER, 25, 0, 0],
    [1, WD, USER, 26, 0, 0],
  ])(
    'WP=%i, PKRS=%i: a write to %i of %i faults %i times',
    (wp, pkrs, page, value, faults, save) => {
      Object.assign(seen, { faults: 0, save: 0, code: 0 });
      setWp(machine, wp);
      machine.wrmsr(IA32_PKRS, pkrs);
      machine.store32(page, value);
      expect(seen).toEqual({ faults, save, code: faults === 1 ? 0x23 : 0 });
      machine.wrmsr(IA32_PKRS, 0);
      expect(machine.load32(SUPERVISOR)).toBe(value);
    },
  );

  it('AD lets a read of the user page through: that row really reads here', () => {
    seen.faults = 0;
    machine.wrmsr(IA32_PKRS, AD);
    expect(machine.load32(USER)).toBe(26);
    expect(seen.faults).toBe(0);
  });
});

describe('pku', () => {
  const { machine, seen } = setUp('pkru');

  it.each([
    // CPL, WP, PKRU, page, value, faults, save, error code
    [0, 1, AD, USER, 21, 1, 0, 0x23],
    [0, 0, AD, USER, 22, 1, 21, 0x23],
    [0, 1, WD, USER, 23, 1, 22, 0x23],
    [0, 0, WD, USER, 24, 0, 0, 0],
    [3, 0, WD, USER, 25, 1, 24, 0x27],
    [3, 1, AD, USER, 26, 1, 25, 0x27],
    [0, 0, WD, SUPERVISOR, 27, 0, 0, 0],
    [0, 1, AD, SUPERVISOR, 28, 0, 0, 0],
  ])(
    'CPL %i, WP=%i, PKRU=%i: a write to %i of %i faults %i times',
    (cpl, wp, pkru, page, value, faults, save, code) => {
      Object.assign(seen, { faults: 0, save: 0, code: 0 });
      setWp(machine, wp);
      machine.wrpkru(pkru);
      machine.registers.cpl.poke(0, cpl);
      machine.store32(page, value);
      machine.registers.cpl.poke(0, 0);
      expect(seen).toEqual({ faults, save, code });
      machine.wrpkru(0);
      expect(machine.load32(USER)).toBe(value);
    },
  );
});
