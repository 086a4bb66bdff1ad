// SPDX-License-Identifier: MIT
// Power failures: what ends, what may be left, and that it is undone and told apart.

import { type Kernel, PAGE_KERNEL_PROT } from '@pkslab/kernel';
import type { Column, Machine } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import {
  type CrashedMemory,
  ExploreError,
  explore,
  type Invariant,
  type Recovery,
  replay,
  type SavedTrace,
  type Scenario,
} from '../src/index.ts';
import { cell, deliver, endsWith, smallKernel, step, systemOf } from './support.ts';

const PHYSICAL = 0x1_0000_0000;
const LINE = 64;
const SIZE = 2 * 1024 * 1024;

type Code = (machine: Machine, address: number, x: Column) => void;

interface Guest {
  readonly cpus?: number;
  readonly powerFail?: number;
  readonly recovery?: Recovery;
  readonly invariants?: (kernel: Kernel) => readonly Invariant[];
  readonly tasks: readonly Code[];
}

/** Tasks on a page of persistent memory. */
function guest({ cpus = 1, powerFail = 1, recovery, invariants, tasks }: Guest): Scenario {
  return {
    name: 'guest',
    title: 'tasks on persistent memory',
    budget: { powerFail },
    setup() {
      const kernel = smallKernel(cpus);
      const { machine, mm } = kernel;
      machine.memory.addRegion(PHYSICAL, SIZE, { read(): void {}, write(): void {} });
      const address = mm.directAddress(PHYSICAL);
      mm.map(address, PHYSICAL, SIZE, PAGE_KERNEL_PROT);
      const x = cell(kernel, 'x');
      const ids = tasks.map((task, i) => kernel.spawn(`task${i}`, () => task(machine, address, x)));
      const base = { kernel, tasks: ids, invariants: invariants?.(kernel) ?? [] };
      return recovery === undefined ? base : { ...base, recovery };
    },
  };
}

/** A recovery that finds nothing wrong, and what it found in the first bytes of two lines. */
function noting(found: Set<string>, domain: 'adr' | 'eadr' = 'adr'): Recovery {
  const check = (memory: CrashedMemory): null => {
    found.add(`${memory.u32(PHYSICAL)} ${memory.u32(PHYSICAL + LINE)}`);
    return null;
  };
  return { domain, check };
}

function outcomes(code: Code, domain?: 'adr' | 'eadr'): string[] {
  const found = new Set<string>();
  const result = explore(guest({ recovery: noting(found, domain), tasks: [code] }));
  expect(result).toMatchObject({ verdict: 'holds', events: 1 });
  return [...found].sort();
}

const twoLines: Code = (machine, address) => {
  machine.store32(address, 1);
  machine.store32(address, 2);
  machine.store32(address + LINE, 3);
};

describe('what a power failure leaves of a line', () => {
  it('is any prefix of its stores, whatever is left of another line', () => {
    expect(outcomes(twoLines)).toEqual(['0 0', '0 3', '1 0', '1 3', '2 0', '2 3']);
  });

  it('is all where the caches are saved too', () => {
    expect(outcomes(twoLines, 'eadr')).toEqual(['0 0', '1 0', '2 0', '2 3']);
  });

  it('is at least what was written back and fenced', () => {
    const fenced = outcomes((machine, address) => {
      machine.store32(address, 1);
      machine.clwb(address, 4);
      machine.sfence();
      machine.store32(address + LINE, 3);
    });
    expect(fenced).toEqual(['0 0', '1 0', '1 3']);
  });

  it.each<[string, Code]>([
    ['movnti32', (machine, address) => machine.movnti32(address, 1)],
    ['movnti64', (machine, address) => machine.movnti64(address, 1n)],
    [
      'copyInNonTemporal',
      (machine, address) => machine.copyInNonTemporal(address, Uint8Array.of(1, 0, 0, 0), 0, 4),
    ],
    [
      'clflushopt',
      (machine, address) => {
        machine.store32(address, 1);
        machine.clflushopt(address, 4);
      },
    ],
    [
      'clflush',
      (machine, address) => {
        machine.store32(address, 1);
        machine.clflush(address, 4);
      },
    ],
  ])('is sure after %s once it was fenced, and not before', (_name, store) => {
    const run = (fences: boolean): string[] =>
      outcomes((machine, address, x) => {
        store(machine, address, x);
        if (fences) machine.sfence();
        machine.movnti32(address + LINE, 3);
      });
    expect(run(true)).toEqual(['0 0', '1 0', '1 3']);
    expect(run(false)).toEqual(['0 0', '0 3', '1 0', '1 3']);
  });

  it.each([
    ['a write-back alone', 0, false],
    ['a fence alone', null, true],
    ['a write-back of another line, and a fence', LINE, true],
  ] as const)('is not more for %s', (_what, cleaned, fences) => {
    const found = outcomes((machine, address) => {
      machine.store32(address, 1);
      if (cleaned !== null) machine.clwb(address + cleaned, 4);
      if (fences) machine.sfence();
      machine.store32(address + LINE, 3);
    });
    expect(found).toEqual(['0 0', '0 3', '1 0', '1 3']);
  });

  it.each(['adr', 'eadr'] as const)('is part of a store over two lines (%s)', (domain) => {
    const found = new Set<string>();
    const check = (memory: CrashedMemory): null => {
      found.add(`${memory.read(PHYSICAL + LINE - 2, 4)}`);
      return null;
    };
    const across: Code = (machine, address) => machine.store32(address + LINE - 2, 0x0404_0404);
    explore(guest({ recovery: { domain, check }, tasks: [across] }));
    const late = domain === 'adr' ? ['0,0,4,4'] : [];
    expect([...found].sort()).toEqual(['0,0,0,0', ...late, '4,4,0,0', '4,4,4,4']);
  });

  it('is whole for 8 aligned bytes', () => {
    const found = new Set<string>();
    const check = (memory: CrashedMemory): null => {
      found.add(`${memory.u32(PHYSICAL)} ${memory.u32(PHYSICAL + 4)}`);
      return null;
    };
    const whole: Code = (machine, address) => machine.store64(address, 0x5_0000_0004n);
    explore(guest({ recovery: { check }, tasks: [whole] }));
    expect([...found].sort()).toEqual(['0 0', '4 5']);
  });
});

describe('a search with power failures', () => {
  it('goes back over write-backs: of two CPUs that race, each order has its own outcomes', () => {
    const found = new Set<string>();
    const tasks: Code[] = [
      (machine, address) => {
        machine.store32(address, 1);
        machine.clwb(address, 4);
        machine.sfence();
      },
      (machine, address) => machine.store32(address + LINE, machine.load32(address) + 2),
    ];
    const result = explore(guest({ cpus: 2, recovery: noting(found), tasks }));
    expect(result.verdict).toBe('holds');
    // 3 says that the store of 1 was seen, not that it had survived.
    expect([...found].sort()).toEqual(['0 0', '0 2', '0 3', '1 0', '1 2', '1 3']);
  });

  it('tells states apart that differ only in what may be lost', () => {
    const found = new Set<string>();
    const setup = guest({
      cpus: 2,
      tasks: [
        (machine, address, x) => {
          machine.store32(address, 1);
          x.add(0, 1);
        },
        (machine, address, x) => {
          machine.clwb(address, 4);
          machine.sfence();
          x.add(0, 1);
        },
      ],
    }).setup;
    const scenario: Scenario = {
      name: 'guest',
      title: 'one CPU stores, another writes back',
      budget: { powerFail: 1 },
      setup(request) {
        const base = setup(request);
        const x = cell(base.kernel, 'x');
        const check = (memory: CrashedMemory): null => {
          if (x.values[0] === 2) found.add(`${memory.u32(PHYSICAL)}`);
          return null;
        };
        return { ...base, recovery: { check } };
      },
    };
    expect(explore(scenario).verdict).toBe('holds');
    // All is done, and memory is the same, whether the write-back came before the store or behind it.
    expect([...found].sort()).toEqual(['0', '1']);
  });

  it("takes a fence for its own CPU's write-backs only", () => {
    const outcomesOf = (fencesItself: boolean): string[] => {
      const found = new Set<string>();
      const writer: Code = (machine, address, x) => {
        machine.store32(address, 1);
        machine.clwb(address, 4);
        if (fencesItself) machine.sfence();
        x.set(0, 1);
        x.wait(0, 2);
        machine.store32(address + LINE, 3);
      };
      const other: Code = (machine, _address, x) => {
        x.wait(0, 1);
        machine.sfence();
        x.set(0, 2);
      };
      explore(guest({ cpus: 2, recovery: noting(found), tasks: [writer, other] }));
      return [...found].sort();
    };
    expect(outcomesOf(false)).toEqual(['0 0', '0 3', '1 0', '1 3']);
    expect(outcomesOf(true)).toEqual(['0 0', '1 0', '1 3']);
  });

  it('tells states apart by what an operation that was cut in the middle stored over (eADR)', () => {
    const found = new Set<string>();
    const overwrite: Code = (machine, address, x) => {
      machine.store32(address + LINE, 1);
      x.wait(0, 1);
      // Over two lines: the second may be cut off, and then holds what the last of the two stores left.
      machine.fill(address + LINE - 8, 7, 16);
    };
    const other: Code = (machine, address, x) => {
      machine.store32(address + LINE, 2);
      x.set(0, 1);
    };
    const check = (memory: CrashedMemory): null => {
      const first = memory.read(PHYSICAL + LINE - 8, 1)[0];
      if (first === 7) found.add(`${memory.u32(PHYSICAL + LINE)}`);
      return null;
    };
    const recovery: Recovery = { domain: 'eadr', check };
    explore(guest({ cpus: 2, recovery, tasks: [overwrite, other] }));
    expect([...found].sort()).toEqual(['1', '117901063', '2']);
  });

  it('ends the run: nothing happens afterwards', () => {
    const system = systemOf(guest({ cpus: 2, recovery: noting(new Set()), tasks: [twoLines] }));
    step(system);
    deliver(system, 'powerFail');
    expect(system.enabled.actions()).toEqual([]);
    system.finish();
    expect(system.checker.violation).toBeNull();
  });

  it('still checks the end and finds a deadlock, for runs in which the power stays on', () => {
    const invariants = (kernel: Kernel) => [endsWith(cell(kernel, 'x'), 1)];
    for (const strategy of ['exhaustive', 'stateful'] as const) {
      const recovery = noting(new Set());
      const ends = explore(guest({ recovery, invariants, tasks: [twoLines] }), { strategy });
      expect(ends).toMatchObject({ verdict: 'violated', invariant: 'end' });
      const waits: Code = (_machine, _address, x) => x.wait(0, 1);
      const stuck = explore(guest({ recovery, tasks: [waits] }), { strategy });
      expect(stuck).toMatchObject({ verdict: 'violated', invariant: 'I16' });
    }
  });

  it.each(['exhaustive', 'stateful', 'bounded', 'random', 'pct'] as const)(
    'finds by %s what a recovery complains of, with a trace that says what survived',
    (strategy) => {
      const found = explore(losing(), { strategy, seed: 1 });
      expect(found).toMatchObject({ verdict: 'violated', invariant: 'recovery', events: 1 });
      expect(found.reduced).toBe(false);
      expect(found.trace).toContain('>>> the power fails\n');
      expect(found.trace).toContain('why: recovery says: after a power failure the recovery finds');
      expect(found.trace).toMatch(/recovery +line 0x100000040: 1 of 1 stores .* survived\n/);
      expect(found.trace).toMatch(/recovery +line 0x100000000: 0 of 1 stores .* survived\n/);
      expect(replay(losing(), found.saved as SavedTrace)).toMatchObject({
        outcome: 'violated',
        reproduced: true,
      });
    },
  );

  it('is refused where the scenario has no recovery', () => {
    const none = guest({ tasks: [twoLines] });
    expect(() => explore(none)).toThrow(ExploreError);
    expect(() => explore(none)).toThrow('scenario guest has no recovery');
    expect(explore(none, { budget: { powerFail: 0 } }).verdict).toBe('holds');
  });

  it('is incomplete where a recovery has more ways than are tried', () => {
    const check = (memory: CrashedMemory): null => {
      memory.read(PHYSICAL, 20 * LINE);
      return null;
    };
    const many: Code = (machine, address) => machine.fill(address, 1, 20 * LINE);
    const found = explore(guest({ recovery: { check }, tasks: [many] }));
    expect(found.verdict).toBe('incomplete');
  });

  it('says so where a recovery depends on something else than what it reads', () => {
    let runs = 0;
    const check = (memory: CrashedMemory): null => {
      memory.u32(PHYSICAL + (runs++ % 2) * LINE);
      return null;
    };
    expect(() => explore(guest({ recovery: { check }, tasks: [twoLines] }))).toThrow(
      'a recovery read other lines than before',
    );
  });
});

/** The second line must not survive without the first. */
function losing(): Scenario {
  const check = (memory: CrashedMemory): string | null => {
    const isThere = memory.u32(PHYSICAL + LINE) === 3;
    return isThere && memory.u32(PHYSICAL) !== 1 ? 'the first line is gone' : null;
  };
  const code: Code = (machine, address) => {
    machine.store32(address, 1);
    machine.clwb(address, 4);
    machine.store32(address + LINE, 3);
  };
  return guest({ recovery: { check }, tasks: [code] });
}
