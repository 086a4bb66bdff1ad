// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  getNewPkr,
  INIT_PKRS_VALUE,
  PKEY_DISABLE_ACCESS,
  PKEY_DISABLE_WRITE,
  PKS_NUM_KEYS,
  pkrAdKey,
} from '../src/index.ts';

const seed = Number(process.env['PKSLAB_SEED'] ?? 20200717);
const register = fc.integer({ min: 0, max: 0xffff_ffff });
const key = fc.integer({ min: 0, max: 15 });
const protection = fc.integer({ min: 0, max: 3 });
const pair = (pkr: number, pkey: number): number => (pkr >>> (pkey * 2)) & 3;

describe('INIT_PKRS_VALUE', () => {
  it('is 0x55555554: access disabled for keys 1 to 15, key 0 open', () => {
    let value = 0;
    for (let k = 1; k < PKS_NUM_KEYS; k++) value |= pkrAdKey(k);
    expect(value >>> 0).toBe(INIT_PKRS_VALUE);
    expect(INIT_PKRS_VALUE).toBe(0x5555_5554);
  });
});

describe(`getNewPkr (seed: ${seed})`, () => {
  it('puts the bits that are asked for into the pair of the key', () => {
    fc.assert(
      fc.property(register, key, protection, (old, k, bits) => {
        expect(pair(getNewPkr(old, k, bits), k)).toBe(bits);
      }),
      { seed },
    );
  });

  it('leaves every other key as it was', () => {
    fc.assert(
      fc.property(register, key, protection, (old, k, bits) => {
        const mask = ~(3 << (k * 2));
        expect((getNewPkr(old, k, bits) & mask) >>> 0).toBe((old & mask) >>> 0);
      }),
      { seed },
    );
  });

  it('is a 32-bit value, and the second of two changes of a key wins', () => {
    fc.assert(
      fc.property(register, key, protection, protection, (old, k, first, second) => {
        const value = getNewPkr(getNewPkr(old, k, first), k, second);
        expect(value).toBe(getNewPkr(old, k, second));
        expect(value).toBe(value >>> 0);
      }),
      { seed },
    );
  });

  it('ignores other bits of what is asked for', () => {
    fc.assert(
      fc.property(register, key, fc.integer(), (old, k, bits) => {
        expect(getNewPkr(old, k, bits)).toBe(getNewPkr(old, k, bits & 3));
      }),
      { seed },
    );
  });

  it('opens, closes for writing, closes', () => {
    expect(getNewPkr(INIT_PKRS_VALUE, 1, 0)).toBe(0x5555_5550);
    expect(getNewPkr(0x5555_5550, 1, PKEY_DISABLE_WRITE)).toBe(0x5555_5558);
    expect(getNewPkr(0x5555_5550, 1, PKEY_DISABLE_ACCESS)).toBe(INIT_PKRS_VALUE);
    expect(getNewPkr(0, 15, PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE)).toBe(0xc000_0000);
  });
});
