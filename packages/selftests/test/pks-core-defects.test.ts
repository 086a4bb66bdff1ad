// SPDX-License-Identifier: MIT
// Revision × reported defect: each shows in the revisions that had it, in no other, and not once repaired.

import { revisionNames } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { bootDirected, pksCoreDefects } from './defects/pks-core.ts';

describe.each(pksCoreDefects)('$id, $title', ({ id, had, shows }) => {
  it.each(revisionNames)('in %s as it was', (revision) => {
    const shown = shows((options = {}) => bootDirected({ revision, ...options }));
    expect(shown).toBe(had.includes(revision));
  });

  it.each(had)('is repaired in %s by its repair', (revision) => {
    const shown = shows((options = {}) => bootDirected({ revision, repairs: [id], ...options }));
    expect(shown).toBe(false);
  });
});
