// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { pmemChoices } from '../src/index.ts';

describe('pmemChoices', () => {
  const { revisions, values, sabotages = {} } = pmemChoices;

  it('takes only values that it declares', () => {
    for (const choices of [...Object.values(revisions), ...Object.values(sabotages)]) {
      for (const [name, value] of Object.entries(choices)) expect(values[name]).toContain(value);
    }
  });

  it('sabotages change the reference', () => {
    for (const choices of Object.values(sabotages))
      expect(revisions.reference).not.toMatchObject(choices);
  });
});
