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
  newWalk,
  Op,
  PageTables,
  PTE_A,
  PTE_D,
  PTE_P,
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

describe(`random states (seed: ${seed})`, () => {
  it('decide every access as the pure rule does, on a TLB that is full of earlier ones', () => {
    const pageArbitrary = fc.record({ flags, large: fc.boolean(), key: fc.nat(15) });
    const pages = fc.array(pageArbitrary, { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(pages, fc.array(step, { minLength: 1, maxLength: 40 }), (given, steps) => {
        const { machine, tables } = withTables();
        const entries: VectorEntry[] = given.map(({ flags: bits, large, key }, i) => {
          const low =
            (bits.present ? PTE_P : 0) |
            (bits.writable ? PTE_RW : 0) |
            (bits.user ? PTE_US : 0) |
            (bits.accessed ? PTE_A : 0) |
            (bits.dirty ? PTE_D : 0) |
            (large ? 0x80 : 0);
          const frame = 0x40_0000 + i * 0x20_0000;
          const level = large ? 2 : 1;
          const high = entryHigh(frame, key, bits.noExecute);
          const slot = tables.entryAddress((BASE + i * 0x20_0000) / 4096, level, true);
          machine.writeEntry(slot, entryLow(frame, low), high);
          return { level, low: entryLow(frame, low) | 0, high: high | 0 };
        });
        const r = machine.registers;
        for (const { page, kind, mode, registers: wanted, fast } of steps) {
          if (wanted !== undefined) {
            // EFER.NXE is the exception: entries are interpreted when they are walked.
            if (wanted.efer !== r.efer.values[0]) machine.flushAllTlbs();
            for (const name of ['cr0', 'cr4', 'efer', 'pkru', 'pkrs'] as const) {
              r[name].poke(0, wanted[name]);
            }
            r.ac.poke(0, wanted.ac ? 1 : 0);
          }
          const walk = walkEntries([entries[page] as VectorEntry], machine.cpu.format);
          const expected = decideAccess(kind, mode, walk, machine.cpu.rights);
          r.cpl.poke(0, mode === 'user' ? 3 : 0);
          const address = BASE + page * 0x20_0000 + 8;
          if (mode === 'implicit') {
            const ok = machine.mmu.translatePage(Math.floor(address / 4096), 8, kind, true);
            expect(ok ? null : machine.fault.errorCode).toBe(expected);
            continue;
          }
          if (fast && expected === null && kind !== 'fetch') {
            if (kind === 'read') machine.load32(address);
            else machine.store32(address, 1);
          }
          const result = machine.execute(OPERATIONS[kind], address, 0, 1, 0);
          expect(result === FAULTED ? machine.fault.errorCode : null).toBe(expected);
        }
      }),
      runs,
    );
  });

  it('never let a load or store through on the fast path that the pure rule refuses', () => {
    fc.assert(
      fc.property(
        registers,
        registers,
        fc.nat(15),
        fc.boolean(),
        fc.boolean(),
        (before, after, key, user, writable) => {
          const { machine, tables } = withTables();
          tables.map(BASE, 0x40_0000, { key, user, writable });
          const r = machine.registers;
          const set = (wanted: typeof before): void => {
            for (const name of ['cr0', 'cr4', 'pkru', 'pkrs'] as const)
              r[name].poke(0, wanted[name]);
            r.ac.poke(0, wanted.ac ? 1 : 0);
          };
          machine.handlers = null;
          set(before);
          machine.execute(Op.load32, BASE, 0, 0, 0);
          machine.execute(Op.store32, BASE, 0, 1, 0);
          set(after);
          const page = { present: true, reserved: false, writable, user, noExecute: true, key };
          const faults = (access: () => void): number | null => {
            try {
              access();
              return null;
            } catch {
              return machine.fault.errorCode;
            }
          };
          const { rights } = machine.cpu;
          const read = decideAccess('read', 'supervisor', page, rights);
          const write = decideAccess('write', 'supervisor', page, rights);
          expect(faults(() => machine.store32(BASE, 7))).toBe(write);
          expect(faults(() => machine.load32(BASE))).toBe(read);
          expect(faults(() => machine.load8(BASE + 3))).toBe(read);
          expect(faults(() => machine.load64(BASE))).toBe(read);
        },
      ),
      runs,
    );
  });
});

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
