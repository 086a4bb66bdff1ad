// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { atBoundary } from '../../../scripts/testing/boundaries.ts';
import type { BootOptions, Kernel, KernelModule, Runner } from '../src/index.ts';
import { HARDIRQ_OFFSET, NMI_OFFSET, noChoices } from '../src/index.ts';
import { booted, RAM } from './support.ts';

/** A module that saves 7 in a word of each entry, and tells what it finds there at the exit. */
const saver = (restored: (value: number) => void): KernelModule<null> => ({
  name: 'saver',
  ...noChoices,
  create(kernel: Kernel) {
    const word = kernel.slots.reserveEntryWord();
    kernel.slots.entrySave.push((state) => {
      state.words[word] = 7;
    });
    kernel.slots.entryRestore.push((state) => restored(state.words[word] as number));
    return null;
  },
});

function wordAfter(fire: (runner: Runner) => unknown, options: BootOptions): readonly number[] {
  const seen: number[] = [];
  const { kernel } = booted({ ...options, modules: [saver((value) => seen.push(value))] });
  kernel.runner.attach(atBoundary<Runner>(1, fire));
  kernel.call(() => kernel.machine.store32(RAM, 1));
  kernel.runner.attach(null);
  return seen;
}

const irq = (runner: Runner): boolean => runner.interrupt(0x20);
const nmi = (runner: Runner): boolean => runner.nmi();

describe('what an entry saves', () => {
  it('by reference is there at the exit', () => {
    expect(wordAfter(irq, {})).toEqual([7]);
    expect(wordAfter(nmi, {})).toEqual([7]);
  });

  it('by value is lost: the exit finds zeros (D-01)', () => {
    expect(wordAfter(irq, { revision: 'rfc-v2' })).toEqual([0]);
    expect(wordAfter(irq, { sabotages: ['state-by-value'] })).toEqual([0]);
    expect(wordAfter(irq, { revision: 'rfc-v2', repairs: ['D-01'] })).toEqual([7]);
  });

  it('is not saved at all by entries of the NMI class (D-03)', () => {
    expect(wordAfter(nmi, { revision: 'rfc-v2' })).toEqual([]);
    expect(wordAfter(nmi, { sabotages: ['nmi-uncovered'] })).toEqual([]);
    expect(wordAfter(nmi, { revision: 'rfc-v2', repairs: ['D-01', 'D-03'] })).toEqual([7]);
  });

  it('each of nested entries has its own', () => {
    const seen: number[] = [];
    const { kernel } = booted({ modules: [saver((value) => seen.push(value))] });
    kernel.entry.requestIrq(0x20, () => kernel.machine.store32(RAM, 2));
    let fired = 0;
    kernel.runner.attach({
      boundary(runner) {
        if (fired++ === 0) runner.interrupt(0x20);
        else if (fired === 4) runner.nmi();
      },
    });
    kernel.call(() => kernel.machine.store32(RAM, 1));
    expect(seen).toEqual([7, 7]);
  });
});

describe('restore hooks', () => {
  it('run in the reverse order of the save hooks', () => {
    const order: string[] = [];
    const named = (name: string): KernelModule<null> => ({
      ...saver(() => order.push(`restore ${name}`)),
      create(kernel) {
        kernel.slots.entrySave.push(() => order.push(`save ${name}`));
        kernel.slots.entryRestore.push(() => order.push(`restore ${name}`));
        return null;
      },
    });
    const { kernel } = booted({ modules: [named('a'), named('b')] });
    kernel.runner.attach(atBoundary<Runner>(1, irq));
    kernel.call(() => kernel.machine.store32(RAM, 1));
    expect(order).toEqual(['save a', 'save b', 'restore b', 'restore a']);
  });
});

describe('handlers', () => {
  it('run in hardirq or NMI context, with interrupts off, and leave both as they were', () => {
    const { kernel, notes } = booted();
    const flag = kernel.machine.registers.interruptFlag;
    const look = (): void => {
      notes.add(kernel.preempt.count.read());
      notes.add(flag.get(0));
    };
    kernel.entry.requestIrq(0x20, look);
    kernel.entry.registerNmi(look);
    kernel.runner.attach(
      atBoundary<Runner>(1, (runner) => {
        runner.interrupt(0x20);
        runner.nmi();
      }),
    );
    kernel.call(() => kernel.machine.store32(RAM, 1));
    kernel.runner.attach(null);
    expect(notes.all).toEqual([HARDIRQ_OFFSET, 0, NMI_OFFSET + HARDIRQ_OFFSET, 0]);
    expect([kernel.preempt.count.column.values[0], flag.values[0]]).toEqual([0, 1]);
  });

  it('a vector without a handler is ignored', () => {
    const { kernel } = booted();
    kernel.runner.attach(atBoundary<Runner>(1, (runner) => runner.interrupt(0x99)));
    expect(kernel.call(() => kernel.machine.load32(RAM))).toBe(0);
  });
});
