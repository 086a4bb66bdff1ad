import { describe, expect, it } from 'vitest';
import { Coverage, explore } from '../src/index.ts';
import { cell, lostUpdate, protocol, systemOf } from './support.ts';

describe('Coverage', () => {
  it('lists what was allowed at a site and never delivered there', () => {
    const system = systemOf(lostUpdate(1, { irq: 1 }));
    const coverage = new Coverage(system);
    const node = system.nodeOf(0);
    coverage.reached(node, system.enabled.allowed(0));
    expect(coverage.undelivered).toMatchObject([{ event: 'irq' }]);
    const [irq] = system.enabled.actions();
    if (irq === undefined) throw new Error('nothing is possible');
    coverage.took(irq, system.nodeOf(0));
    expect(coverage.undelivered).toEqual([]);
    expect(coverage.sitesReached).toHaveLength(1);
    expect([...coverage.sites]).toEqual([system.tries.siteOf(node)]);
  });

  it('remembers what was allowed there in any state', () => {
    const system = systemOf(lostUpdate(1, { irq: 1, nmi: 1 }));
    const coverage = new Coverage(system);
    const node = system.nodeOf(0);
    coverage.reached(node, 0b01);
    coverage.reached(node, 0b10);
    expect(coverage.undelivered.map(({ event }) => event)).toEqual(['irq', 'nmi']);
  });

  it('does not ask for kinds of events that the budget does not have', () => {
    expect(explore(lostUpdate(1)).undelivered).toEqual([]);
  });

  it('of a search names what no schedule tried', () => {
    // The handler is reached by the only interrupt: nothing is left to interrupt it with.
    const scenario = protocol({
      budget: { irq: 1 },
      code(kernel) {
        const x = cell(kernel, 'x');
        kernel.entry.requestIrq(0x20, () => {
          kernel.machine.sti();
          x.add(0, 1);
          kernel.machine.cli();
        });
        return { tasks: [[() => void x.add(0, 1)]] };
      },
    });
    const { undelivered } = explore(scenario);
    expect(undelivered.length).toBeGreaterThan(0);
    for (const { site, event } of undelivered) {
      expect(site).toMatch(/^irq /);
      expect(event).toBe('irq');
    }
  });
});
