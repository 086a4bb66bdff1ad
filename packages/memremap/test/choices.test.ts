// SPDX-License-Identifier: MIT
import { readdirSync, readFileSync } from 'node:fs';
import { revisionNames } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { memremapChoices } from '../src/index.ts';

describe("the package's choices", () => {
  it('have a value in every revision, one of those that are listed', () => {
    for (const revision of revisionNames) {
      const choices = memremapChoices.revisions[revision];
      expect(Object.keys(choices).sort()).toEqual(Object.keys(memremapChoices.values).sort());
      for (const [name, value] of Object.entries(choices)) {
        expect(memremapChoices.values[name]).toContain(value);
      }
    }
  });

  it('every repair sets what reference has, and every sabotage breaks it', () => {
    const { reference } = memremapChoices.revisions;
    for (const repair of Object.values(memremapChoices.repairs))
      expect(reference).toMatchObject(repair);
    for (const sabotage of Object.values(memremapChoices.sabotages ?? {})) {
      expect(reference).not.toMatchObject(sabotage);
    }
  });

  it('every sabotage has a test that names it', () => {
    const tests = readdirSync(import.meta.dirname)
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => readFileSync(`${import.meta.dirname}/${file}`, 'utf8'))
      .join();
    for (const name of Object.keys(memremapChoices.sabotages ?? {})) expect(tests).toContain(name);
  });
});
