// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { ExploreError, explore, parseTrace, type SavedTrace } from '../src/index.ts';
import { lostUpdate } from './support.ts';

const saved = explore(lostUpdate(1, { preempt: 1 })).saved as SavedTrace;

describe('a saved trace', () => {
  it('holds events and what they were found on, no steps', () => {
    expect(saved).toMatchObject({
      format: 'pkslab-trace',
      version: 1,
      scenario: 'protocol',
      cpus: null,
      revision: 'reference',
      violation: { invariant: 'end', message: 'ends as 1' },
      start: 0,
      points: [
        { cpu: 0, event: 'preempt', routine: 'A:0', operation: 'set test.x', occurrence: 0 },
      ],
    });
  });

  it('is read back as it was written', () => {
    expect(parseTrace(JSON.stringify(saved))).toEqual(saved);
  });

  it('is null where nothing is violated', () => {
    expect(explore(lostUpdate(1)).saved).toBeNull();
  });

  const [point] = saved.points;
  it.each([
    ['{', 'not JSON: '],
    ['[]', 'not a pkslab trace: expected a JSON object'],
    ['{}', 'not a pkslab trace: format is missing'],
    [{ ...saved, version: 2 }, 'trace version 2 cannot be read: this pkslab reads 1'],
    [{ ...saved, scenario: 1 }, 'not a whole pkslab trace: scenario is 1'],
    [{ ...saved, revision: 'v9' }, 'revision is "v9"'],
    [{ ...saved, budget: { nmi: 'x' } }, 'budget is {"nmi":"x"}'],
    [{ ...saved, points: [{ ...point, event: 'smi' }] }, 'points[0].event is "smi"'],
    [{ ...saved, points: [point, null] }, 'points[1].cpu is missing'],
  ])('is refused with what is wrong: %j', (value, message) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    expect(() => parseTrace(text)).toThrow(ExploreError);
    expect(() => parseTrace(text)).toThrow(message);
  });
});
