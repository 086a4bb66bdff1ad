// SPDX-License-Identifier: MIT
// Every sabotage that a module knows is noticed by a test of ours.

import type { RevisionRequest } from '@pkslab/kernel';
import { expect, it } from 'vitest';
import { programme, runSelfTest, sabotageNames } from '../src/index.ts';

// The quickest are at the end; each passes on the reference (programme.test.ts).
const ours = programme.filter(({ origin }) => origin === 'ours').toReversed();

/** Shown by the operations of two CPUs in turn alone, which only the catalogue tries: catalogue.test.ts. */
const byInterleaving = ['free-not-atomic'];

it.each(sabotageNames.filter((name) => !byInterleaving.includes(name)))(
  '%s is caught by a test of ours',
  (sabotage) => {
    const broken: RevisionRequest = {
      revision: 'reference',
      repairs: [],
      sabotages: [sabotage],
      with: {},
    };
    expect(ours.some((test) => runSelfTest(test, broken).status === 'failed')).toBe(true);
  },
);
