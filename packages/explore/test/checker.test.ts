import { Mark } from '@pkslab/kernel';
import { FAULTABLE, Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { explore, type Invariant, invariant, type Scenario, type View } from '../src/index.ts';
import { cell, protocol } from './support.ts';

/** One task; what its invariants say of it. */
function oneTask(
  body: (parts: Parts) => void,
  invariants: (parts: Parts) => readonly Invariant[],
  budget: Scenario['budget'] | object = {},
): Scenario {
  return protocol({
    budget,
    code(kernel) {
      const parts: Parts = { kernel, x: cell(kernel, 'x'), y: cell(kernel, 'y') };
      kernel.entry.requestIrq(0x20, () => parts.y.add(0, 1));
      return { tasks: [[() => body(parts)]], invariants: invariants(parts) };
    },
  });
}

interface Parts {
  readonly kernel: Parameters<Parameters<typeof protocol>[0]['code']>[0];
  readonly x: ReturnType<typeof cell>;
  readonly y: ReturnType<typeof cell>;
}

const xIsZero = ({ x }: Parts): Invariant => ({
  id: 'X',
  text: 'x is 0',
  suspendedIn: ['update'],
  boundary: () => (x.values[0] === 0 ? null : `x is ${x.values[0]}`),
});

describe('an invariant at boundaries', () => {
  it('is checked after each step', () => {
    const found = explore(
      oneTask(
        ({ x }) => {
          x.set(0, 1);
          x.set(0, 0);
        },
        (parts) => [xIsZero(parts)],
      ),
    );
    expect(found).toMatchObject({ verdict: 'violated', invariant: 'X', message: 'x is 1' });
    expect(found.operations).toBe(1);
  });

  it('is not checked in the windows that it names, and the report says so', () => {
    const held = explore(
      oneTask(
        ({ kernel: { machine }, x }) => {
          machine.mark(Mark.update, 1);
          x.set(0, 1);
          x.set(0, 0);
          machine.mark(Mark.update, 0);
          x.get(0);
        },
        (parts) => [xIsZero(parts)],
      ),
    );
    expect(held.verdict).toBe('holds');
    expect(held.suspended).toEqual([{ invariant: 'X', window: 'update', sites: 1 }]);
  });

  it('is checked again at the first boundary behind the window', () => {
    const found = explore(
      oneTask(
        ({ kernel: { machine }, x }) => {
          machine.mark(Mark.update, 1);
          x.set(0, 1);
          machine.mark(Mark.update, 0);
          x.set(0, 0);
        },
        (parts) => [xIsZero(parts)],
      ),
    );
    expect(found).toMatchObject({ verdict: 'violated', operations: 1 });
  });

  it('is checked in a handler above a window: the window is the interrupted context’s', () => {
    const found = explore(
      oneTask(
        ({ kernel: { machine }, x }) => {
          machine.mark(Mark.update, 1);
          x.set(0, 1);
          x.set(0, 0);
          machine.mark(Mark.update, 0);
        },
        (parts) => [xIsZero(parts)],
        { irq: 1 },
      ),
    );
    expect(found).toMatchObject({ verdict: 'violated', events: 1, operations: 1 });
  });

  it('sees what a step does to another CPU', () => {
    const scenario = protocol({
      cpus: 2,
      code(kernel) {
        const x = cell(kernel, 'percpu', 2);
        const own = invariant({
          id: 'own',
          text: 'nobody writes the cell of CPU 1',
          boundary: (view: View) => (view.cpu === 1 && x.values[1] !== 0 ? 'written' : null),
        });
        const write = (): void => {
          x.set(1, 1);
          x.set(1, 0);
        };
        return { tasks: [[write], [() => x.get(0)]], invariants: [own] };
      },
    });
    // At once, not when CPU 1 makes its next step.
    expect(explore(scenario)).toMatchObject({ invariant: 'own', operations: 1 });
  });
});

describe('a view', () => {
  it('knows whether the context, or another, holds a grant', () => {
    const seen = new Set<string>();
    const watch = invariant({
      id: 'watch',
      text: 'notes what it sees',
      boundary: ({ frame, grants, grantsElsewhere }) => {
        seen.add(`${frame} ${grants} ${grantsElsewhere}`);
        return null;
      },
    });
    const body = ({ kernel: { machine }, x }: Parts): void => {
      x.get(0);
      machine.mark(Mark.grant, 1);
      x.get(0);
      machine.mark(Mark.grant, 0);
    };
    explore(oneTask(body, () => [watch], { irq: 1 }));
    expect([...seen].sort()).toEqual(['irq 0 false', 'irq 0 true', 'task 0 false', 'task 1 false']);
  });

  it('names an NMI and an exception', () => {
    const seen = new Set<string>();
    const watch = invariant({
      id: 'watch',
      text: 'notes what it sees',
      mark: ({ frame }, id) => {
        if (id === Mark.handlerBody) seen.add(frame);
        return null;
      },
    });
    const body = ({ kernel: { machine } }: Parts): void => {
      machine.operate(Op.load32 | FAULTABLE, -0x7780_0000_0000, 0, 0, 0);
    };
    explore(oneTask(body, () => [watch], { nmi: 1, pageFault: 1, irq: 1 }));
    expect([...seen].sort()).toEqual(['exception', 'irq', 'nmi']);
  });
});

describe('preserved cells', () => {
  const keepsY = ({ y }: Parts): Invariant => ({
    id: 'keeps',
    text: 'a handler leaves y alone',
    preserves: [{ column: y, index: () => 0 }],
  });

  it('are compared with what they were when the handler was entered', () => {
    const found = explore(
      oneTask(
        ({ x }) => x.get(0),
        (parts) => [keepsY(parts)],
        { irq: 1 },
      ),
    );
    expect(found).toMatchObject({
      verdict: 'violated',
      invariant: 'keeps',
      message: 'a handler was entered with test.y = 0x0 and leaves 0x1',
    });
  });

  it('may change in between', () => {
    const scenario = protocol({
      budget: { irq: 2 },
      code(kernel) {
        const y = cell(kernel, 'y');
        kernel.entry.requestIrq(0x20, () => {
          y.add(0, 1);
          y.add(0, -1);
        });
        const body = (): void => void y.add(0, 5);
        return { tasks: [[body]], invariants: [keepsY({ kernel, x: y, y })] };
      },
    });
    expect(explore(scenario).verdict).toBe('holds');
  });
});

describe('an invariant on accesses', () => {
  const RAM = -0x7780_0000_0000 + 0x60_0000;
  const outside = (): Invariant => ({
    id: 'range',
    text: 'nothing reaches the second page',
    access: (_view, address, size) =>
      address + size > RAM + 4096 && address < RAM + 8192 ? 'reached' : null,
  });
  const verdict = (body: (machine: Parts['kernel']['machine']) => void): string =>
    explore(
      oneTask(
        ({ kernel }) => body(kernel.machine),
        () => [outside()],
      ),
    ).verdict;

  it('sees loads and stores with their size', () => {
    expect(verdict((machine) => machine.store32(RAM + 4092, 1))).toBe('holds');
    expect(verdict((machine) => machine.store64(RAM + 4092, 1n))).toBe('violated');
    expect(verdict((machine) => void machine.load8(RAM + 4096))).toBe('violated');
  });

  it('sees a CLWB and a locked addition', () => {
    expect(verdict((machine) => machine.clwb(RAM + 4000, 96))).toBe('holds');
    expect(verdict((machine) => machine.clwb(RAM + 4000, 97))).toBe('violated');
    expect(verdict((machine) => void machine.xadd32(RAM + 4092, 1))).toBe('holds');
    expect(verdict((machine) => void machine.xadd32(RAM + 4093, 1))).toBe('violated');
  });

  it('sees both ends of a copy, and all of it', () => {
    expect(verdict((machine) => void machine.copy(RAM, RAM + 8192, 4096))).toBe('holds');
    expect(verdict((machine) => void machine.copy(RAM + 4000, RAM + 8192, 200))).toBe('violated');
    expect(verdict((machine) => void machine.copy(RAM, RAM + 4096, 8))).toBe('violated');
  });
});
