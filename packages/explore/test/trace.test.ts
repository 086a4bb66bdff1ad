import { describe, expect, it } from 'vitest';
import { explore, invariant } from '../src/index.ts';
import { cell, lostUpdate, protocol } from './support.ts';

function lines(trace: string): string[] {
  return trace.split('\n').map((line) => line.trimEnd());
}

describe('a trace', () => {
  it('has one line for each step, the events, the invariant and the kernel’s stack', () => {
    const scenario = protocol({
      budget: { irq: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        kernel.entry.requestIrq(0x20, () => x.set(0, 0x1234));
        const check = invariant({
          id: 'small',
          text: 'x stays small',
          cells: [{ label: 'x', column: x, index: () => 0 }],
          boundary: () => ((x.values[0] as number) < 100 ? null : 'x is big'),
        });
        const body = (): void => {
          if (x.get(0) === 0) x.add(0, 1);
        };
        return { tasks: [[body]], invariants: [check] };
      },
    });
    expect(lines(explore(scenario).trace)).toEqual([
      'CPU 0',
      '| x 0',
      '>>> irq, vector 0x20',
      'A irq          __preempt_count[cpu] += 0x10000 -> 0x10000',
      'A irq          test.x[0] := 0x1234                       | x 0x1234',
      '',
      'violated: small: x is big',
      'kernel backtrace:',
      '  <IRQ>',
      '  common_interrupt',
      '  </IRQ>',
      '  body',
      'why: small says: x stays small.',
      '  test.x[0] is 0x1234, changed last at step 3 by A irq: test.x[0] := 0x1234 in common_interrupt.',
      '  No schedule with the same events somewhat earlier or later passes.',
      '  Changes tried: 5 alone, all 10 pairs; none is known to end it.',
      '',
    ]);
  });

  it('has a lane for each CPU', () => {
    const { trace } = explore(lostUpdate(2));
    const [header = '', ...rest] = lines(trace);
    expect(header).toMatch(/^CPU 0 +CPU 1$/);
    const lane = header.indexOf('CPU 1');
    expect(rest.some((line) => line.startsWith('A  '))).toBe(true);
    expect(rest.some((line) => line.indexOf('B  ') === lane)).toBe(true);
  });

  it('is empty where nothing is violated', () => {
    expect(explore(lostUpdate(1)).trace).toBe('');
  });
});
