// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import type * as Package from '../src/index.ts';
import { shippedSuite, shippedSuites } from './vectors.ts';

// Ten million cases: on the built package, since the test runner's own modules are five times slower.
const { CaseReader, conformanceReport, formatConformance, outcomeByRules, runSuite } =
  (await import(new URL('../dist/index.js', import.meta.url).href)) as typeof Package;

describe.each(shippedSuites())('conformance vectors, $paging $suite', ({ paging, suite: name }) => {
  it('replay on the machine with the recorded outcome in every case', { timeout: 60_000 }, () => {
    const result = runSuite(shippedSuite(paging, name));
    expect(result.disagree, formatConformance([result])).toBe(0);
    expect(result.agree).toBe(result.cases);
  });

  it('agree with the pure rules in every case', { timeout: 60_000 }, () => {
    const suite = shippedSuite(paging, name);
    const reader = new CaseReader(suite);
    const wrong: number[] = [];
    for (let index = 0; index < suite.cases; index++) {
      reader.read(index);
      if (outcomeByRules(reader.state) !== suite.records[index * 3]) wrong.push(index);
    }
    expect(wrong.slice(0, 3)).toEqual([]);
  });
});

describe('runSuite', () => {
  it('reports the first case in which it disagrees in full', () => {
    const suite = shippedSuite('4-level', 'cross');
    const records = suite.records.slice();
    records[9] = 0x40 + 0x23;
    const result = runSuite({ ...suite, records });
    expect(result).toMatchObject({ agree: 1943, disagree: 1, first: { index: 3 } });
    const text = formatConformance([result]);
    expect(text).toContain('4-level cross, case 3:');
    expect(text).toContain('expected   #PF error code 0x23');
    expect(text).toContain('got        done');
    expect(text).toContain('level 1    2800000000600007');
    expect(conformanceReport([result]).ok).toBe(false);
  });

  it("counts the emulators' deviations and not ours", () => {
    const result = runSuite(shippedSuite('4-level', 'implicit'));
    expect(conformanceReport([result])).toMatchObject({
      ok: true,
      suites: [{ suite: 'implicit', paging: '4-level', cases: 2560, agree: 2560, disagree: 0 }],
    });
    expect(result.byClass.get(3)?.bochs).toBeGreaterThan(0);
  });
});
