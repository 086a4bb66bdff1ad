// SPDX-License-Identifier: MIT
// Each protection broken on purpose: the demo must fail, and say what is wrong.

import { describe, expect, it } from 'vitest';
import { demoRun } from './demo-run.ts';

describe('a stack in which', { timeout: 60_000 }, () => {
  it.each([
    ['an entry does not save PKRS', 'entry-saves-nothing', 'stray writes changed data'],
    ['PKRS is not written on a switch', 'switch-writes-nothing', 'stray writes changed data'],
    ['the key is not in the PTEs', 'key-not-mapped', 'stray writes changed data'],
    ['pmem does not ask for protection', 'pmem-flag-not-set', 'stray writes changed data'],
    ['NMI entries are not covered', 'nmi-uncovered', 'stray writes changed data'],
    ['enables are not counted', 'count-not-nested', 'rows are missing or wrong'],
    ['the write-back is reported and not done', 'write-back-lost', 'bytes were not on the media'],
    ['a flush does not fence', 'flush-without-fence', 'bytes were not on the media'],
    ['the state of an entry is passed by value', 'state-by-value', 'stray writes changed data'],
  ])('%s (%s) fails the demo', async (_what, sabotage, complaint) => {
    const { complaints } = await demoRun({ sabotages: [sabotage] });
    expect(complaints.join('\n')).toContain(complaint);
  });

  it.each([
    ['kmap does not open access', 'kmap-hook-removed'],
    ['pmem does not open access', 'pmem-hook-removed'],
    ['dax_read_lock does not open access', 'dax-lock-grants-nothing'],
  ])('%s (%s) cannot even start', async (_what, sabotage) => {
    await expect(demoRun({ sabotages: [sabotage] })).rejects.toThrow();
  });
});
