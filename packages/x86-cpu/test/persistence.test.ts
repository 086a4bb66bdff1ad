// SPDX-License-Identifier: MIT
// What each store and each write-back leaves on persistent media when the power fails.

import { describe, expect, it } from 'vitest';
import { Flush, type Machine, NON_TEMPORAL, Op, operationKindName } from '../src/index.ts';
import { attempt, withTables } from './support.ts';

const PHYSICAL = 2 ** 32;
const ADDRESS = 0x40_0000;
const RAM = 0x50_0000;
const CLOSED = 0x60_0000;
const SIZE = 3 * 4096;

interface Rig {
  readonly machine: Machine;
  /** What the media hold at the offset of a 4-byte word. */
  survives(offset: number): number;
}

function rig(hooked = false): Rig {
  const { machine, tables } = withTables();
  const media = new Uint8Array(SIZE);
  const region = machine.memory.addRegion(PHYSICAL, SIZE, {
    read: (offset, into) => into.set(media.subarray(offset, offset + into.length)),
    write: (offset, bytes) => media.set(bytes, offset),
  });
  for (let done = 0; done < SIZE; done += 4096) tables.map(ADDRESS + done, PHYSICAL + done);
  tables.map(RAM, 0x20_0000);
  tables.map(RAM + 4096, 0x20_1000);
  tables.map(CLOSED, 0x20_2000, { writable: false });
  if (hooked) machine.hook = { operate: (kind, a, b, c, d) => machine.perform(kind, a, b, c, d) };
  return {
    machine,
    survives(offset) {
      machine.memory.discard(region);
      return machine.load32(ADDRESS + offset);
    },
  };
}

type Code = (machine: Machine) => void;

const STORES: readonly (readonly [string, Code])[] = [
  ['movnti32', (machine) => machine.movnti32(ADDRESS, 7)],
  ['movnti64', (machine) => machine.movnti64(ADDRESS, 7n)],
  [
    'copyInNonTemporal',
    (machine) => machine.copyInNonTemporal(ADDRESS, Uint8Array.of(9, 7, 0, 0, 0), 1, 4),
  ],
  [
    'copyNonTemporal',
    (machine) => {
      machine.store32(RAM, 7);
      machine.copyNonTemporal(ADDRESS, RAM, 4);
    },
  ],
];

const FLUSHES: readonly (readonly [string, Code])[] = [
  ['clwb', (machine) => machine.clwb(ADDRESS, 4)],
  ['clflushopt', (machine) => machine.clflushopt(ADDRESS, 4)],
  ['clflush', (machine) => machine.clflush(ADDRESS, 4)],
];

describe.each([false, true])('a power failure (with a hook: %s)', (hooked) => {
  it.each(FLUSHES)('takes what %s wrote back, unless an SFENCE came after it', (_name, flush) => {
    for (const fenced of [false, true]) {
      const { machine, survives } = rig(hooked);
      machine.store32(ADDRESS, 7);
      flush(machine);
      if (fenced) machine.sfence();
      expect(survives(0)).toBe(fenced ? 7 : 0);
    }
  });

  it.each(FLUSHES)('takes what was stored after %s', (_name, flush) => {
    const { machine, survives } = rig(hooked);
    flush(machine);
    machine.store32(ADDRESS, 7);
    machine.sfence();
    expect(survives(0)).toBe(0);
  });

  it.each(STORES)('takes what %s stored, unless an SFENCE came after it', (_name, store) => {
    for (const fenced of [false, true]) {
      const { machine, survives } = rig(hooked);
      // Twice: the second time the TLB holds the page.
      store(machine);
      store(machine);
      if (fenced) machine.sfence();
      expect(machine.load32(ADDRESS)).toBe(7);
      expect(survives(0)).toBe(fenced ? 7 : 0);
    }
  });

  it('takes ordinary stores that nobody wrote back, fenced or not', () => {
    const { machine, survives } = rig(hooked);
    machine.store32(ADDRESS, 7);
    machine.copyIn(ADDRESS + 64, Uint8Array.of(7, 0, 0, 0), 0, 4);
    machine.store32(RAM, 7);
    machine.copy(ADDRESS + 128, RAM, 4);
    machine.sfence();
    expect([survives(0), survives(64), survives(128)]).toEqual([0, 0, 0]);
  });

  it('leaves non-temporal stores over two pages whole, and the lines beside them alone', () => {
    const { machine, survives } = rig(hooked);
    machine.store32(ADDRESS + 4096 + 64, 5);
    machine.movnti64(ADDRESS + 4092, 0x8_0000_0007n);
    const bytes = new Uint8Array(4100).fill(1);
    machine.copyInNonTemporal(ADDRESS + 8188, bytes.subarray(0, 8), 0, 8);
    machine.sfence();
    const found = [4092, 4096, 4096 + 64, 8188, 8192].map(survives);
    expect(found).toEqual([7, 8, 0, 0x0101_0101, 0x0101_0101]);
  });

  it('leaves a copy within memory over two pages whole', () => {
    const { machine, survives } = rig(hooked);
    machine.fill(RAM + 4000, 2, 200);
    machine.copyNonTemporal(ADDRESS + 4050, RAM + 4000, 200);
    machine.sfence();
    expect([survives(4052), survives(4240)]).toEqual([0x0202_0202, 0x0202_0202]);
  });
});

describe('a non-temporal store', () => {
  it.each([Op.store32, Op.store64, Op.copy, Op.copyIn])('faults as a store (%i)', (op) => {
    const { machine } = rig();
    machine.buffers[0] = new Uint8Array(8);
    machine.writeCr(0, machine.readCr(0) | 0x1_0000);
    const b = op === Op.copy ? RAM : 0;
    const wanted = attempt(machine, op, CLOSED, b, 8, 0);
    expect(wanted).toMatchObject({ vector: 14, code: 3 });
    expect(attempt(machine, op | NON_TEMPORAL, CLOSED, b, 8, 0)).toEqual(wanted);
  });
});

describe('a write-back', () => {
  it.each(Object.values(Flush))('is checked as a read (%i)', (which) => {
    const { machine } = rig();
    expect(attempt(machine, Op.clwb, CLOSED, 64, which)).toBeNull();
    expect(attempt(machine, Op.clwb, 0x70_0000, 64, which)).toMatchObject({ vector: 14, code: 0 });
  });
});

describe('operationKindName', () => {
  it('has each operation under the name of its method', () => {
    const names = Object.values(Flush).map((which) => operationKindName(Op.clwb, which));
    expect(names).toEqual(['clwb', 'clflushopt', 'clflush']);
    const stores = [Op.store32, Op.store64, Op.copy, Op.copyIn];
    expect(stores.map((op) => operationKindName(op | NON_TEMPORAL))).toEqual([
      'movnti32',
      'movnti64',
      'copyNonTemporal',
      'copyInNonTemporal',
    ]);
    expect(operationKindName(Op.store32, 2)).toBe('store32');
    expect(operationKindName(0x7f)).toBe('operation 127');
  });
});

describe('a backing that cannot write', () => {
  const stuck = (writeFailed?: (error: unknown) => void) => {
    const { machine, tables } = withTables();
    const written: number[] = [];
    const state = { fails: true };
    const region = machine.memory.addRegion(PHYSICAL, SIZE, {
      read() {},
      write(offset) {
        if (state.fails) throw new Error('no space');
        written.push(offset);
      },
      ...(writeFailed === undefined ? {} : { writeFailed }),
    });
    tables.map(ADDRESS, PHYSICAL);
    machine.movnti32(ADDRESS + 64, 7);
    return { machine, region, written, state };
  };

  it('is told, and gets the lines at the next fence', () => {
    const errors: unknown[] = [];
    const { machine, region, written, state } = stuck((error) => void errors.push(error));
    machine.sfence();
    machine.sfence();
    expect(errors).toEqual([new Error('no space'), new Error('no space')]);
    expect(region.unwritten).toBe(true);
    state.fails = false;
    machine.sfence();
    expect([written, region.unwritten]).toEqual([[64], false]);
  });

  it('ends the fence if it does not want to be told, and gets the lines at the next one too', () => {
    const { machine, written, state } = stuck();
    expect(() => machine.sfence()).toThrow('no space');
    state.fails = false;
    machine.sfence();
    expect(written).toEqual([64]);
  });

  it('has nothing left behind once the power has failed', () => {
    const { machine, region } = stuck(() => {});
    machine.sfence();
    machine.memory.discard(region);
    expect(region.unwritten).toBe(false);
    machine.sfence();
    expect(region.pendingChunks).toEqual([]);
  });
});
