// SPDX-License-Identifier: MIT
import { type Kernel, Mark } from '@pkslab/kernel';
import { Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { explore, type Invariant, invariant, type Recording } from '../src/index.ts';
import { cell, protocol } from './support.ts';

const noComplaint: Invariant = invariant({
  id: 'I16',
  text: 'no oops, panic or WARN',
  mark: (_, id) => (id === Mark.complaint ? 'a complaint' : null),
});

/** What is recorded where code of a task, or of an NMI above it, complains. */
function complaint(code: (kernel: Kernel) => void, where: 'task' | 'nmi' = 'task'): Recording {
  const { recording } = explore(
    protocol({
      budget: { nmi: where === 'nmi' ? 1 : 0 },
      code(kernel) {
        const x = cell(kernel, 'x');
        if (where === 'nmi') kernel.entry.registerNmi(() => code(kernel));
        const body = (): void => {
          x.add(0, 1);
          if (where === 'task') code(kernel);
          x.add(0, 1);
        };
        return { tasks: [[body]], invariants: [noComplaint] };
      },
    }),
  );
  if (recording === null) throw new Error('nothing is violated');
  return recording;
}

/** An address in the direct map. */
const RAM = -0x7780_0000_0000 + 0x60_0000;

/** An entry of the top table that nothing uses, and a bit of its high half that a not-present entry may have. */
const SPARE_SLOT = 3;
const HIGH_BIT = 0x40;

/** A supervisor address that nothing maps. */
const UNMAPPED = -0x1000_0000;

describe('a recording', () => {
  it('has the text of an oops, as the kernel prints it', () => {
    const { dmesg } = complaint(({ machine }) => machine.store32(UNMAPPED, 1));
    expect(dmesg[0]).toBe('BUG: unable to handle page fault for address: fffffffff0000000');
    expect(dmesg).toContain('#PF: supervisor write access in kernel mode');
    expect(dmesg).toContain('CPU: 0 PID: 1 Comm: A');
    expect(dmesg).toContain('---[ end trace ]---');
  });

  it('has the interrupted functions in the call trace of an oops, as a stack of one piece has', () => {
    const store = ({ machine }: Kernel): void => machine.store32(UNMAPPED, 1);
    const { dmesg } = complaint(function lateStore(kernel) {
      store(kernel);
    });
    const start = dmesg.indexOf('Call Trace:');
    expect(dmesg.slice(start + 1, start + 4)).toEqual([' store', ' late_store', ' body']);
  });

  it('has the text of a WARN, and only once', () => {
    const { dmesg } = complaint((kernel) => kernel.oops.warn('it is too late'));
    expect(dmesg.filter((line) => line === 'it is too late')).toHaveLength(1);
    expect(dmesg[0]).toBe('------------[ cut here ]------------');
  });

  it('has the text of a panic', () => {
    const { dmesg } = complaint((kernel) => kernel.oops.panic('no init found'), 'nmi');
    expect(dmesg).toContain('Kernel panic - not syncing: no init found');
  });

  it('is of the schedule that was found, also where code looks at the high half of what it reads', () => {
    const { dmesg } = complaint((kernel) => {
      const { machine, mm } = kernel;
      const slot = mm.root + SPARE_SLOT * 8;
      machine.writeEntry(slot, 0, HIGH_BIT);
      machine.readEntry(slot);
      if (machine.resultHigh === HIGH_BIT) kernel.oops.warn('the high half is there');
    });
    expect(dmesg).toContain('the high half is there');
  });

  it('has no text where the kernel says nothing', () => {
    const { dmesg } = complaint(({ machine }) => machine.mark(Mark.complaint, 1, 0));
    expect(dmesg).toEqual([]);
  });

  it('has the functions of every context: the NMI, and what it interrupted', () => {
    const { backtrace } = complaint((kernel) => kernel.oops.warn('here'), 'nmi');
    expect(backtrace[0]).toBe('<NMI>');
    const end = backtrace.indexOf('</NMI>');
    expect(backtrace.slice(0, end)).toContain('exc_nmi');
    expect(backtrace.slice(end + 1)).toEqual(['body']);
  });

  it('has the function of each operation, none for an event', () => {
    const { steps } = complaint((kernel) => kernel.oops.warn('here'), 'nmi');
    for (const step of steps) {
      if (step.event === null) expect(step.function).toMatch(/^\w+$/);
      else expect(step).toMatchObject({ event: 'nmi', function: null, text: 'nmi' });
    }
  });

  it('is plain data', () => {
    const recording = complaint((kernel) => kernel.oops.warn('here'));
    expect(structuredClone(recording)).toEqual(recording);
    expect(JSON.parse(JSON.stringify(recording))).toEqual(recording);
  });

  it('does what the search did with a value of 64 bits, whose high half comes beside the result', () => {
    const found = explore(
      protocol({
        code(kernel) {
          const { machine } = kernel;
          const x = cell(kernel, 'x');
          machine.memory.chunkAt(0x60_0000).words[1] = 7;
          const body = (): void => {
            x.set(0, 1);
            machine.operate(Op.load64, RAM, 0, 0, 0);
            x.set(0, machine.resultHigh);
          };
          const zero = (): string | null => (x.values[0] === 7 ? 'it is 7' : null);
          const end = invariant({ id: 'zero', text: 'the high half is 0', end: zero });
          return { tasks: [[body]], invariants: [end] };
        },
      }),
    );
    expect(found.recording?.steps.map(({ text }) => text)).toContain('test.x[0] := 7');
  });
});
