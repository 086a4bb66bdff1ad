// SPDX-License-Identifier: MIT
// Every mutant of a rule is caught by the vectors, every mutant of the machine by a named check.

import { describe, expect, it } from 'vitest';
import {
  CaseReader,
  CR4_PKS,
  IA32_PKRS,
  type Machine,
  Op,
  outcomeByRules,
  type PageTables,
  type VectorSuite,
} from '../src/index.ts';
import { mutantRules, type RuleMutant, ruleMutants } from './mutants.ts';
import { attempt, BASE, readFault, withTables, writeFault } from './support.ts';
import { shippedSuite } from './vectors.ts';

// Small suites first: most mutants do not survive them.
const SUITES = [
  ['4-level', 'implicit'],
  ['4-level', 'ad4k'],
  ['4-level', 'cross'],
  ['5-level', 'states4k'],
  ['4-level', 'keys'],
  ['4-level', 'leaf4k'],
  ['5-level', 'levels4k'],
] as const;
const suites = new Map<string, VectorSuite>();

function suiteOf([paging, name]: readonly [string, string]): VectorSuite {
  const key = `${paging} ${name}`;
  const suite = suites.get(key) ?? shippedSuite(paging, name);
  suites.set(key, suite);
  return suite;
}

/** The first case that catches rules, or null. */
function caught(mutant: RuleMutant | null, limit: number): string | null {
  const rules = mutantRules(mutant);
  for (const named of SUITES) {
    const suite = suiteOf(named);
    const reader = new CaseReader(suite);
    // A stride that shares no factor with a dimension visits all values of each.
    const stride = suite.cases > limit ? 37 : 1;
    for (let index = 0; index < suite.cases; index += stride) {
      reader.read(index);
      if (outcomeByRules(reader.state, rules) !== suite.records[index * 3]) {
        return `${named.join(' ')} ${index}`;
      }
    }
  }
  return null;
}

describe('the rule with its switches', () => {
  it('agrees with the vectors while none is on', { timeout: 60_000 }, () => {
    expect(caught(null, 100_000)).toBeNull();
  });

  it.each(Object.keys(ruleMutants) as RuleMutant[])(
    'is caught with %s',
    { timeout: 60_000 },
    (mutant) => {
      expect(caught(mutant, 100_000), ruleMutants[mutant]).not.toBeNull();
    },
  );
});

const closed = (key: number): number => 1 << (key * 2);

/** A check of the machine: throws, or gives false, where it is broken. */
type Check = (machine: Machine, tables: PageTables) => boolean;

const checks = {
  'INVLPG makes a new key count': (machine, tables) => {
    tables.map(BASE, 0x20_0000, { key: 5 });
    machine.wrmsr(IA32_PKRS, closed(6));
    machine.load32(BASE);
    tables.map(BASE, 0x20_0000, { key: 6 });
    machine.invlpg(BASE);
    return readFault(machine, BASE) === 0x21;
  },
  'INVLPG drops all of a large page': (machine, tables) => {
    tables.map(BASE, 0x20_0000, { size: 0x20_0000 });
    machine.load32(BASE + 4096);
    machine.writeEntry(tables.entryAddress(BASE / 4096, 2), 0, 0);
    machine.invlpg(BASE);
    return readFault(machine, BASE + 4096) === 0;
  },
  'a page fault drops the entry': (machine, tables) => {
    tables.map(BASE, 0x20_0000, { key: 6 });
    machine.load32(BASE);
    machine.wrmsr(IA32_PKRS, closed(6));
    const first = readFault(machine, BASE);
    machine.wrmsr(IA32_PKRS, 0);
    machine.writeEntry(tables.entryAddress(BASE / 4096, 1), 0, 0);
    return first === 0x21 && readFault(machine, BASE) === 0;
  },
  'PKRS counts at once': (machine, tables) => {
    tables.map(BASE, 0x20_0000, { key: 6 });
    machine.load32(BASE);
    machine.wrmsr(IA32_PKRS, closed(6));
    return readFault(machine, BASE) === 0x21;
  },
  'CR4.PKS counts at once': (machine, tables) => {
    tables.map(BASE, 0x20_0000, { key: 6 });
    machine.wrmsr(IA32_PKRS, closed(6));
    machine.writeCr(4, machine.readCr(4) & ~CR4_PKS);
    machine.load32(BASE);
    machine.writeCr(4, machine.readCr(4) | CR4_PKS);
    return readFault(machine, BASE) === 0x21;
  },
  'a stale entry stays until it is invalidated': (machine, tables) => {
    tables.map(BASE, 0x20_0000, { key: 5 });
    machine.load32(BASE);
    machine.wrmsr(IA32_PKRS, closed(6));
    tables.map(BASE, 0x20_0000, { key: 6 });
    return readFault(machine, BASE) === null;
  },
  'the first write sets D': (machine, tables) => {
    tables.map(BASE, 0x20_0000);
    machine.load32(BASE);
    machine.store32(BASE, 1);
    return (machine.readEntry(tables.entryAddress(BASE / 4096, 1)) & 0x60) === 0x60;
  },
  'WRMSR refuses high bits': (machine) => attempt(machine, Op.wrmsr, IA32_PKRS, 0, 0, 1) !== null,
  'WD stops a write that a read filled in': (machine, tables) => {
    tables.map(BASE, 0x20_0000, { key: 6 });
    machine.store32(BASE, 1);
    machine.wrmsr(IA32_PKRS, 2 << 12);
    return readFault(machine, BASE) === null && writeFault(machine, BASE) === 0x23;
  },
} as const satisfies Record<string, Check>;

/** Breaks a machine, and names the check that must notice. */
const machineMutants: readonly [string, keyof typeof checks, (machine: Machine) => void][] = [
  [
    'INVLPG does nothing',
    'INVLPG makes a new key count',
    ({ cpu }) => replace(cpu.tlb, 'invalidatePage', () => {}),
  ],
  [
    'INVLPG drops one 4 KiB slot only',
    'INVLPG drops all of a large page',
    ({ cpu: { tlb } }) =>
      replace(tlb, 'invalidatePage', (page: number) => {
        tlb.tags[page & 1023] = 0.5;
      }),
  ],
  [
    'a page fault keeps the entry',
    'a page fault drops the entry',
    ({ cpu }) => replace(cpu.tlb, 'invalidatePage', () => {}),
  ],
  [
    'rights are not derived from PKRS',
    'PKRS counts at once',
    ({ cpu }) => replace(cpu, 'derivePkrs', () => {}),
  ],
  [
    'rights are not derived from CR4',
    'CR4.PKS counts at once',
    ({ registers }) => {
      registers.cr4.changed = null;
    },
  ],
  [
    'there is no TLB',
    'a stale entry stays until it is invalidated',
    ({ cpu: { tlb } }) => {
      const fill = tlb.fill.bind(tlb);
      replace(tlb, 'fill', (...args: Parameters<typeof fill>) => {
        const slot = fill(...args);
        tlb.tags[slot] = 0.5;
        return slot;
      });
    },
  ],
  [
    'the TLB forgets that D was clear',
    'the first write sets D',
    ({ cpu: { tlb } }) => {
      const fill = tlb.fill.bind(tlb);
      replace(tlb, 'fill', (tag: number, info: number, ...rest: [never, never]) =>
        fill(tag, info | 0xc0, ...rest),
      );
    },
  ],
  [
    'WRMSR truncates',
    'WRMSR refuses high bits',
    (machine) => {
      const execute = machine.execute.bind(machine);
      replace(machine, 'execute', (kind: number, a: number, b: number, c: number) =>
        execute(kind, a, b, c, 0),
      );
    },
  ],
  [
    'WD is not looked at on a TLB hit',
    'WD stops a write that a read filled in',
    ({ cpu }) => Object.defineProperty(cpu, 'writeDeny', { get: () => 0, set: () => {} }),
  ],
];

function replace(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, configurable: true });
}

/** A machine that a check can run on. */
function prepared(): { machine: Machine; tables: PageTables } {
  const made = withTables();
  made.machine.writeCr(4, made.machine.readCr(4) | CR4_PKS);
  return made;
}

describe('the machine', () => {
  it.each(Object.entries(checks))('passes: %s', (_name, check: Check) => {
    const { machine, tables } = prepared();
    expect(check(machine, tables)).toBe(true);
  });

  it.each(machineMutants)('is caught where %s', (_name, named, sabotage) => {
    const { machine, tables } = prepared();
    sabotage(machine);
    let passed: boolean;
    try {
      passed = (checks[named] as Check)(machine, tables);
    } catch {
      passed = false;
    }
    expect(passed).toBe(false);
  });
});
