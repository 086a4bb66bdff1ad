// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AccessKind,
  type AccessMode,
  CR0_WP,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  decideAccess,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  entryHigh,
  entryLow,
  FAULTED,
  type Machine,
  newWalk,
  Op,
  PageTables,
  PTE_A,
  PTE_D,
  PTE_P,
  PTE_PS,
  PTE_RW,
  PTE_US,
  tableIndex,
  type VectorEntry,
  walkEntries,
  walkPage,
} from '../src/index.ts';
import { resetToLongMode5 } from './fixtures.ts';
import { withTables } from './support.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 20200717);
const runs = { seed, numRuns: 300 };

const registers = fc.record({
  cr0: fc.constantFrom(0x8000_0001, 0x8000_0001 + CR0_WP),
  cr4: fc
    .subarray([CR4_PKE, CR4_PKS, CR4_SMAP, CR4_SMEP])
    .map((bits) => bits.reduce((all, bit) => all | bit, 0xa0)),
  efer: fc.constantFrom(EFER_LME | EFER_LMA, EFER_LME | EFER_LMA | EFER_NXE),
  ac: fc.boolean(),
  pkru: fc.nat(0xffff_ffff),
  pkrs: fc.nat(0xffff_ffff),
});
const flags = fc.record({
  present: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
  writable: fc.boolean(),
  user: fc.boolean(),
  noExecute: fc.boolean(),
  accessed: fc.boolean(),
  dirty: fc.boolean(),
});
const step = fc.record({
  page: fc.integer({ min: 0, max: 3 }),
  kind: fc.constantFrom<AccessKind>('read', 'write', 'fetch'),
  mode: fc.constantFrom<AccessMode>('user', 'supervisor', 'implicit'),
  registers: fc.option(registers, { nil: undefined, freq: 2 }),
  fast: fc.boolean(),
});

const OPERATIONS = { read: Op.load32, write: Op.store32, fetch: Op.fetch } as const;
const BASE = 0x1234_5600_0000;

type Page = { flags: FlagValues; large: boolean; key: number };
type FlagValues = typeof flags extends fc.Arbitrary<infer T> ? T : never;
type Registers = typeof registers extends fc.Arbitrary<infer T> ? T : never;
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const REGION = 0x20_0000;

/** Writes a page's entry under tables that allow everything. */
function enterPage(
  machine: Machine,
  tables: PageTables,
  { flags: bits, large, key }: Page,
  i: number,
): VectorEntry {
  const set = (on: boolean, mask: number): number => (on ? mask : 0);
  const low =
    set(bits.present, PTE_P) |
    set(bits.writable, PTE_RW) |
    set(bits.user, PTE_US) |
    set(bits.accessed, PTE_A) |
    set(bits.dirty, PTE_D) |
    set(large, PTE_PS);
  const frame = 0x40_0000 + i * REGION;
  const level = large ? 2 : 1;
  const high = entryHigh(frame, key, bits.noExecute);
  const slot = tables.entryAddress((BASE + i * REGION) / 4096, level, true);
  machine.writeEntry(slot, entryLow(frame, low), high);
  return { level, low: entryLow(frame, low) | 0, high: high | 0 };
}

function setRegisters(machine: Machine, wanted: Registers): void {
  const r = machine.registers;
  // EFER.NXE is the exception: entries are interpreted when they are walked.
  if (wanted.efer !== r.efer.values[0]) machine.flushAllTlbs();
  for (const name of ['cr0', 'cr4', 'efer', 'pkru', 'pkrs'] as const) r[name].poke(0, wanted[name]);
  r.ac.poke(0, wanted.ac ? 1 : 0);
}

/** What the machine says of a step's access: the error code, or null. */
function answer(
  machine: Machine,
  { page, kind, mode, fast }: Step,
  expected: number | null,
): number | null {
  const address = BASE + page * REGION + 8;
  machine.registers.cpl.poke(0, mode === 'user' ? 3 : 0);
  if (mode === 'implicit') {
    const done = machine.mmu.translatePage(Math.floor(address / 4096), 8, kind, true);
    return done ? null : machine.fault.errorCode;
  }
  if (fast && expected === null && kind === 'read') machine.load32(address);
  if (fast && expected === null && kind === 'write') machine.store32(address, 1);
  const result = machine.execute(OPERATIONS[kind], address, 0, 1, 0);
  return result === FAULTED ? machine.fault.errorCode : null;
}

describe(`random states (seed: ${seed})`, () => {
  it('decide every access as the pure rule does, on a TLB that is full of earlier ones', () => {
    const page = fc.record({ flags, large: fc.boolean(), key: fc.nat(15) });
    const pages = fc.array(page, { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(pages, fc.array(step, { minLength: 1, maxLength: 40 }), (given, steps) => {
        const { machine, tables } = withTables();
        const entries = given.map((wanted, i) => enterPage(machine, tables, wanted, i));
        for (const next of steps) {
          if (next.registers !== undefined) setRegisters(machine, next.registers);
          const walk = walkEntries([entries[next.page] as VectorEntry], machine.cpu.format);
          const expected = decideAccess(next.kind, next.mode, walk, machine.cpu.rights);
          expect(answer(machine, next, expected)).toBe(expected);
        }
      }),
      runs,
    );
  });

  it('never let a load or store through on the fast path that the pure rule refuses', () => {
    const page = fc.record({ key: fc.nat(15), user: fc.boolean(), writable: fc.boolean() });
    fc.assert(
      fc.property(registers, registers, page, (before, after, wanted) => {
        const { machine, tables } = withTables();
        tables.map(BASE, 0x40_0000, wanted);
        setRegisters(machine, { ...before, efer: NXE });
        machine.execute(Op.load32, BASE, 0, 0, 0);
        machine.execute(Op.store32, BASE, 0, 1, 0);
        setRegisters(machine, { ...after, efer: NXE });
        const walk = { ...wanted, present: true, reserved: false, noExecute: true };
        const { rights } = machine.cpu;
        const read = decideAccess('read', 'supervisor', walk, rights);
        const write = decideAccess('write', 'supervisor', walk, rights);
        expect(faultOf(machine, () => machine.store32(BASE, 7))).toBe(write);
        expect(faultOf(machine, () => machine.load32(BASE))).toBe(read);
        expect(faultOf(machine, () => machine.load8(BASE + 3))).toBe(read);
        expect(faultOf(machine, () => machine.load64(BASE))).toBe(read);
      }),
      runs,
    );
  });
});

const NXE = EFER_LME | EFER_LMA | EFER_NXE;

/** The error code with which an access without handlers dies, or null. */
function faultOf(machine: Machine, access: () => void): number | null {
  try {
    access();
    return null;
  } catch {
    return machine.fault.errorCode;
  }
}

describe(`a walk (seed: ${seed})`, () => {
  const mapping = fc.record({
    page: fc.bigInt({ min: -(2n ** 44n), max: 2n ** 44n - 1n }),
    frame: fc.nat(2 ** 30),
    size: fc.constantFrom(4096, 0x20_0000, 0x4000_0000),
    key: fc.nat(15),
    writable: fc.boolean(),
    user: fc.boolean(),
    noExecute: fc.boolean(),
    global: fc.boolean(),
  });

  it.each([4, 5] as const)('of %i levels finds what the builder was asked for', (levels) => {
    fc.assert(
      fc.property(mapping, fc.nat(2 ** 18 - 1), (wanted, within) => {
        const machine = levels === 5 ? resetToLongMode5() : withTables().machine;
        const tables = new PageTables(machine, 0x10000, levels);
        const size = wanted.size as 4096;
        const pages = BigInt(wanted.size / 4096);
        const narrow = BigInt.asIntN(levels === 5 ? 45 : 36, wanted.page);
        const first = narrow - (((narrow % pages) + pages) % pages);
        const physical = Math.floor((wanted.frame * 4096) / wanted.size) * wanted.size;
        tables.map(first * 4096n, physical, { ...wanted, size });
        const offset = within % Number(pages);
        const page = Number(first) + offset;
        const walk = newWalk();
        walkPage(machine.memory, tables.root, page, walk, machine.cpu.format);
        expect(walk).toMatchObject({
          present: true,
          reserved: false,
          key: wanted.key,
          writable: wanted.writable,
          user: wanted.user,
          noExecute: wanted.noExecute,
          global: wanted.global,
          frame: physical + offset * 4096,
          depth: levels - Math.log2(Number(pages)) / 9,
        });
        const top = walk.entries[0] as number;
        expect(top).toBe(tables.root + tableIndex(page, levels) * 8);
      }),
      runs,
    );
  });
});
