// SPDX-License-Identifier: MIT
// D-61: AND of two values of the register gives what one of them gives, and no more; with "no access" as 01b it does not.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE, PKS_NUM_KEYS, pkrPair } from '../src/index.ts';
import { withPks } from './support.ts';

/** What a pair lets through. */
const rightsOf = (pair: number): string => {
  if ((pair & PKEY_DISABLE_ACCESS) !== 0) return '';
  return (pair & PKEY_DISABLE_WRITE) !== 0 ? 'r' : 'rw';
};

/** The rights that one of two has: the greater, since none < r < rw. */
const either = (a: string, b: string): string => (a.length > b.length ? a : b);

/** A thread's value after it asked for these protections of keys 1, 2, … */
function valueAfter(noAccess: string, protections: readonly number[]): number {
  const { kernel, pkrs } = withPks({ revision: 'rfc-v3', with: { noAccess } });
  kernel.call(() => {
    for (const [i, protection] of protections.entries()) pkrs.changeRights(i + 1, protection);
  });
  return pkrs.saved.values[kernel.runner.hostTask] as number;
}

const protections = fc.array(
  fc.constantFrom(
    0,
    PKEY_DISABLE_ACCESS,
    PKEY_DISABLE_WRITE,
    PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE,
  ),
  { maxLength: PKS_NUM_KEYS - 1 },
);

/** Keys to which the AND of two values gives more than either gives. */
function grantedByAnd(a: number, b: number): number[] {
  const keys = Array.from({ length: PKS_NUM_KEYS }, (_, key) => key);
  return keys.filter((key) => {
    const both = rightsOf(pkrPair((a & b) >>> 0, key));
    return both !== either(rightsOf(pkrPair(a, key)), rightsOf(pkrPair(b, key)));
  });
}

describe('AND of two threads’ rights (D-61)', () => {
  it('gives what one of them has, with "no access" as 11b', () => {
    fc.assert(
      fc.property(protections, protections, (a, b) => {
        expect(grantedByAnd(valueAfter('11b', a), valueAfter('11b', b))).toEqual([]);
      }),
      { numRuns: 50, seed: 61 },
    );
  });

  it('gives write access that neither has, with 01b beside read only', () => {
    const none = valueAfter('01b', [PKEY_DISABLE_ACCESS]);
    const readOnly = valueAfter('01b', [PKEY_DISABLE_WRITE]);
    expect(grantedByAnd(none, readOnly)).toEqual([1]);
    expect(rightsOf(pkrPair((none & readOnly) >>> 0, 1))).toBe('rw');
  });

  it('is what RFC V3 is built on: each initial value has 11b, and no other revision has', () => {
    for (const revision of ['reference', 'rfc-v2', 'rfc-v3', 'v7', 'v10'] as const) {
      const { pkrs } = withPks({ revision });
      expect(pkrs.noAccess).toBe(revision === 'rfc-v3' ? 0b11 : 0b01);
    }
  });
});
