// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { formatAddress, splitAddress, toAddress } from '../src/index.ts';

describe('addresses', () => {
  it('are read from numbers, bigints and hex, negative in the kernel half', () => {
    for (const given of ['0xffff888000000000', 0xffff_8880_0000_0000n, -0x7780_0000_0000]) {
      expect(toAddress(given)).toBe(-0x7780_0000_0000);
    }
    expect(formatAddress(-0x7780_0000_0000)).toBe('ffff888000000000');
  });

  it('beyond 2^53 have an exact page number', () => {
    expect(() => toAddress('0xff11000000000001')).toThrow(/2\^53/);
    expect(() => toAddress(2 ** 60)).toThrow(/bigint or a hex string/);
    expect(() => toAddress('kernel')).toThrow(/write it as/);
    expect(splitAddress('0xff11000000001abc')).toEqual({ page: -0xeefffffffff, offset: 0xabc });
    expect(() => splitAddress(2 ** 60)).toThrow(RangeError);
  });
});
