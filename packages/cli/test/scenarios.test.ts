// SPDX-License-Identifier: MIT
import { scenarios } from '@pkslab/selftests';
import { describe, expect, it } from 'vitest';
import { pkslab } from './pkslab.ts';

describe('pkslab scenarios', () => {
  it('lists every scenario with what happens in it', async () => {
    const { status, out } = await pkslab('scenarios');
    expect(status).toBe(0);
    for (const { name, title } of scenarios) expect(out).toContain(`${name}\n  ${title}\n`);
    expect(out).toContain(
      'irq-in-section\n  a task maps, stores and unmaps; an interrupt arrives\n  1 CPU, irq 1\n',
    );
  });

  it('gives one JSON document: budget, CPUs and invariants of each', async () => {
    const { out } = await pkslab('scenarios', '--json');
    const listed = JSON.parse(out) as { name: string }[];
    expect(listed.map(({ name }) => name)).toEqual(scenarios.map(({ name }) => name));
    expect(listed.find(({ name }) => name === 'preempt-in-section')).toMatchObject({
      budget: { preempt: 1, irq: 0 },
      cpus: [1, 2],
      invariants: expect.arrayContaining([
        { id: 'I2', text: 'in process context, MSR == saved_pkrs of the task' },
      ]),
    });
  });
});
