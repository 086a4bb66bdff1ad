import { FAULTABLE, Op } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import type { System } from '../src/index.ts';
import { deliver, NONE, protocol, step, stepTo, systemOf } from './support.ts';

const RAM = -0x7780_0000_0000;

function kinds(system: System): (string | null)[] {
  return system.enabled.actions().map(({ event }) => event);
}

/** One task with every event in its budget. */
function everyEvent(body: (kernel: Parameters<Parameters<typeof protocol>[0]['code']>[0]) => void) {
  return systemOf(
    protocol({
      budget: { irq: 2, nmi: 2, preempt: 2, pageFault: 2 },
      code: (kernel) => ({ tasks: [[() => body(kernel)], [() => {}]] }),
    }),
  );
}

describe('events are possible exactly when the machine allows them', () => {
  it('an interrupt and a preemption while IF is set, an NMI always', () => {
    const system = everyEvent(({ machine }) => {
      machine.cli();
      machine.sti();
      machine.flushTlb(true);
    });
    expect(kinds(system)).toEqual(['irq', 'nmi', 'preempt', null]);
    step(system);
    expect(kinds(system)).toEqual(['nmi', null]);
    step(system);
    expect(kinds(system)).toEqual(['irq', 'nmi', 'preempt', null]);
  });

  it('a preemption only where the preempt count is 0', () => {
    const system = everyEvent(({ preempt }) => {
      preempt.disable();
      preempt.enable();
    });
    expect(kinds(system)).toContain('preempt');
    step(system);
    expect(kinds(system)).toEqual(['irq', 'nmi', null]);
  });

  it('a preemption only while another task waits', () => {
    const system = systemOf(
      protocol({ budget: { preempt: 1 }, code: () => ({ tasks: [[() => {}]] }) }),
    );
    expect(kinds(system)).toEqual([null]);
  });

  it('a page fault at accesses that say so, whatever IF is', () => {
    const system = everyEvent(({ machine }) => {
      machine.cli();
      machine.operate(Op.load32 | FAULTABLE, RAM, 0, 0, 0);
      machine.load32(RAM);
    });
    step(system);
    expect(kinds(system)).toEqual(['nmi', 'pageFault', null]);
    step(system);
    expect(kinds(system)).toEqual(['nmi', null]);
  });

  it('no NMI above an NMI, until it has returned', () => {
    const system = everyEvent(({ machine }) => machine.flushTlb(true));
    deliver(system, 'nmi');
    expect(kinds(system)).not.toContain('nmi');
    stepTo(system, Op.flushTlb);
    expect(kinds(system)).toContain('nmi');
  });

  it('as many as the budget has, of each kind and of all together', () => {
    const system = everyEvent(({ machine }) => machine.flushTlb(true));
    system.enabled.setBudget({ ...NONE, irq: 1, nmi: 5 }, 2);
    deliver(system, 'irq');
    stepTo(system, Op.flushTlb);
    expect(kinds(system)).toEqual(['nmi', null]);
    deliver(system, 'nmi');
    stepTo(system, Op.flushTlb);
    expect(kinds(system)).toEqual([null]);
  });

  it('one action for each vector', () => {
    const system = systemOf(
      protocol({
        budget: { irq: 1 },
        code: () => ({ tasks: [[() => {}]], vectors: [0x20, 0x21] }),
      }),
    );
    const vectors = system.enabled.actions().filter(({ event }) => event === 'irq');
    expect(vectors.map(({ choice }) => choice)).toEqual([0x20, 0x21]);
  });
});
