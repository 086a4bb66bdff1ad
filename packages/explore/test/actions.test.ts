import { describe, expect, it } from 'vitest';
import { CpuActions } from '../src/actions.ts';

describe('CpuActions', () => {
  it('have one action for each kind of event, for each vector, and for each CPU to migrate to', () => {
    const actions = new CpuActions(1, [0x20, 0x30], 2);
    expect(actions.events.flat()).toEqual([
      { cpu: 1, event: 'irq', choice: 0x20 },
      { cpu: 1, event: 'irq', choice: 0x30 },
      { cpu: 1, event: 'nmi', choice: 0 },
      { cpu: 1, event: 'preempt', choice: 0 },
      { cpu: 1, event: 'pageFault', choice: 0 },
      { cpu: 1, event: 'machineCheck', choice: 0 },
      { cpu: 1, event: 'migrate', choice: 0 },
      { cpu: 1, event: 'powerFail', choice: 0 },
    ]);
  });

  it('give the same object for the same alternative', () => {
    const actions = new CpuActions(0, [], 1);
    expect(actions.alternative(-1)).toBe(actions.alternative(-1));
    expect(actions.arrival(0x30)).toBe(actions.arrival(0x30));
    expect(actions.alternative(0x20_0000)).toEqual({ cpu: 0, event: null, choice: 0x20_0000 });
  });
});
