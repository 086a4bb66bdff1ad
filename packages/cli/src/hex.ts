// SPDX-License-Identifier: MIT
// Hex numbers as people paste them from an oops.

import { UsageError } from './options.ts';

/**
 * A number of up to 64 bits in hex, with or without `0x`.
 *
 * @throws {UsageError} naming what was given.
 * @example
 * hexValue('--pkrs', '5555_5554'); // => 0x55555554n
 */
export function hexValue(name: string, text: string): bigint {
  const digits = text.replace(/^0x/i, '').replaceAll('_', '');
  if (!/^[0-9a-f]{1,16}$/i.test(digits)) {
    throw new UsageError(`${name} ${text}: expected up to 16 hex digits`);
  }
  return BigInt(`0x${digits}`);
}
