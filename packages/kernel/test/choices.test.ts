// SPDX-License-Identifier: MIT
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { kernelChoices, resolveChoices, revisionNames } from '../src/index.ts';

const request = { revision: 'reference', repairs: [], sabotages: [], with: {} } as const;

describe("the kernel's choices", () => {
  it('have a value in every revision, one of those that are listed', () => {
    for (const revision of revisionNames) {
      const choices = kernelChoices.revisions[revision];
      expect(Object.keys(choices)).toEqual(Object.keys(kernelChoices.values));
      for (const [name, value] of Object.entries(choices)) {
        expect(kernelChoices.values[name]).toContain(value);
      }
    }
  });

  it('every repair of rfc-v2 sets what reference has, and every sabotage breaks it', () => {
    const { reference } = kernelChoices.revisions;
    for (const repair of Object.values(kernelChoices.repairs))
      expect(reference).toMatchObject(repair);
    for (const sabotage of Object.values(kernelChoices.sabotages ?? {})) {
      expect(reference).not.toMatchObject(sabotage);
    }
  });

  it('a single value wins over a sabotage, a sabotage over a repair', () => {
    const sabotaged = { ...request, repairs: ['D-03'], sabotages: ['nmi-uncovered'] };
    expect(resolveChoices([kernelChoices], sabotaged)['nmiCovered']).toBe('no');
    const single = { ...sabotaged, with: { nmiCovered: 'yes' } };
    expect(resolveChoices([kernelChoices], single)['nmiCovered']).toBe('yes');
  });

  it('every sabotage has a test that names it', () => {
    const tests = readdirSync(import.meta.dirname)
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => readFileSync(`${import.meta.dirname}/${file}`, 'utf8'))
      .join();
    for (const name of Object.keys(kernelChoices.sabotages ?? {})) expect(tests).toContain(name);
  });
});
