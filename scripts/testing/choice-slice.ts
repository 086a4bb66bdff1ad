// SPDX-License-Identifier: MIT
// What must hold of every package's slice of the revisions.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

type Choices = Readonly<Record<string, string>>;

interface Slice {
  readonly revisions: Readonly<Record<'reference', Choices>>;
  readonly texts?: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, readonly string[]>>;
  readonly repairs: Readonly<Record<string, Choices>>;
  readonly sabotages?: Readonly<Record<string, Choices>>;
}

/** Tests of a slice; `folder` holds the package's tests. */
export function testChoiceSlice(slice: Slice, folder: string): void {
  const { revisions, values, repairs, sabotages = {}, texts } = slice;

  describe("the package's choices", () => {
    it('have a value in every revision, one of those that are listed', () => {
      for (const choices of Object.values(revisions)) {
        expect(Object.keys(choices).sort()).toEqual(Object.keys(values).sort());
        for (const [name, value] of Object.entries(choices)) expect(values[name]).toContain(value);
      }
    });

    it('have a line of text, where the slice has texts', () => {
      const named = Object.keys(texts ?? values);
      expect(named.sort()).toEqual(Object.keys(values).sort());
    });

    it('every repair sets what reference has, and every sabotage breaks it', () => {
      const { reference } = revisions;
      for (const repair of Object.values(repairs)) expect(reference).toMatchObject(repair);
      for (const broken of Object.values(sabotages)) expect(reference).not.toMatchObject(broken);
    });

    it('every sabotage has a test that names it', () => {
      const tests = readdirSync(folder)
        .filter((file) => file.endsWith('.test.ts'))
        .map((file) => readFileSync(`${folder}/${file}`, 'utf8'))
        .join();
      for (const name of Object.keys(sabotages)) expect(tests).toContain(name);
    });
  });
}
