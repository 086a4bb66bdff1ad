// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { daxChoices } from '../src/index.ts';

describe('daxChoices', () => {
  const { revisions, values, repairs, sabotages = {} } = daxChoices;

  it('takes only values that it declares', () => {
    for (const choices of [
      ...Object.values(revisions),
      ...Object.values(repairs),
      ...Object.values(sabotages),
    ]) {
      for (const [name, value] of Object.entries(choices)) expect(values[name]).toContain(value);
    }
  });

  it('repairs lead from RFC V2 to the reference', () => {
    const repaired = Object.assign({}, revisions['rfc-v2'], ...Object.values(repairs));
    expect(repaired).toEqual(revisions.reference);
  });

  it('sabotages change the reference', () => {
    for (const choices of Object.values(sabotages))
      expect(revisions.reference).not.toMatchObject(choices);
  });
});
