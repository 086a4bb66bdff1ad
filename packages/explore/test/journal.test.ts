import { type FieldDefinition, Machine } from '@pkslab/x86-cpu';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UndoLog } from '../src/journal.ts';

const SIZE = 64;

function attached(): { machine: Machine; undo: UndoLog } {
  const machine = new Machine({ memory: 4 * 1024 * 1024 });
  const undo = new UndoLog();
  machine.journal = undo;
  return { machine, undo };
}

const field = (name: string): FieldDefinition => {
  return { name, type: 'address', initial: 0, per: 'object', count: 4 };
};
const ONE = field('undo.one');
const OTHER = field('undo.other');

const write = fc.oneof(
  fc.record({
    kind: fc.constant('cell' as const),
    at: fc.nat(3),
    value: fc.oneof(fc.integer({ min: -2, max: 2 }), fc.maxSafeInteger()),
  }),
  fc.record({
    kind: fc.constant('bytes' as const),
    at: fc.nat(SIZE - 9),
    value: fc.nat(3),
  }),
);
interface Write {
  readonly kind: 'cell' | 'bytes';
  readonly at: number;
  readonly value: number;
}

/** One operation with the writes given; they may overlap. */
function perform(machine: Machine, undo: UndoLog, writes: readonly Write[]): void {
  const column = machine.column(ONE);
  const chunk = machine.memory.chunkAt(0);
  for (const { kind, at, value } of writes) {
    if (kind === 'cell') column.poke(at, value);
    else {
      undo.bytes(chunk, at, 8);
      chunk.bytes.fill(value, at, at + 8);
    }
  }
  undo.settle();
}

function stateOf(machine: Machine): string {
  const bytes = machine.memory.chunkAt(0).bytes.subarray(0, SIZE);
  return `${[...machine.column(ONE).values]} ${[...bytes]}`;
}

describe('UndoLog', () => {
  it('takes back writes to cells and memory, and the hash with them', () => {
    fc.assert(
      fc.property(fc.array(fc.array(write, { maxLength: 4 }), { maxLength: 20 }), (steps) => {
        const { machine, undo } = attached();
        const marks: { mark: number; low: number; high: number; state: string }[] = [];
        for (const writes of steps) {
          marks.push({ ...position(undo), state: stateOf(machine) });
          perform(machine, undo, writes);
        }
        for (const { mark, low, high, state } of marks.reverse()) {
          undo.undo(mark, low, high);
          expect(stateOf(machine)).toBe(state);
        }
        expect([undo.low, undo.high]).toEqual([0, 0]);
      }),
    );
  });

  it('hashes a state, not the way to it: the same state has the same hash, another one another', () => {
    fc.assert(
      fc.property(fc.array(fc.array(write, { maxLength: 4 }), { maxLength: 30 }), (steps) => {
        const { machine, undo } = attached();
        const hashes = new Map<string, string>([[stateOf(machine), '0 0']]);
        const states = new Map<string, string>([['0 0', stateOf(machine)]]);
        for (const writes of steps) {
          perform(machine, undo, writes);
          const hash = `${undo.low} ${undo.high}`;
          const state = stateOf(machine);
          expect(hashes.get(state) ?? hash).toBe(hash);
          expect(states.get(hash) ?? state).toBe(state);
          hashes.set(state, hash);
          states.set(hash, state);
        }
      }),
    );
  });

  it('does not take two cells that swap their values for the same state', () => {
    const { machine, undo } = attached();
    const one = machine.column(ONE);
    const other = machine.column(OTHER);
    one.poke(0, 1);
    other.poke(0, 2);
    const hash = [undo.low, undo.high];
    one.poke(0, 2);
    other.poke(0, 1);
    expect([undo.low, undo.high]).not.toEqual(hash);
    one.poke(0, 0);
    one.poke(1, 2);
    expect([undo.low, undo.high]).not.toEqual(hash);
  });

  it('tells derived state of a cell that it was taken back', () => {
    const { machine, undo } = attached();
    const column = machine.column(ONE);
    const changed: number[] = [];
    column.changed = (index) => changed.push(index);
    column.poke(2, 5);
    undo.undo(0, 0, 0);
    expect(changed).toEqual([2, 2]);
  });

  it('says when bytes were taken back: TLBs may hold what they said', () => {
    const { machine, undo } = attached();
    let told = 0;
    undo.onBytesUndone = () => told++;
    perform(machine, undo, [{ kind: 'bytes', at: 0, value: 1 }]);
    undo.undo(0, 0, 0);
    expect(told).toBe(1);
  });
});

function position({ mark, low, high }: UndoLog): { mark: number; low: number; high: number } {
  return { mark, low, high };
}
