// SPDX-License-Identifier: MIT
// Virtual addresses: canonical, as safe integers, negative in the kernel half.

const TWO_64 = 1n << 64n;

/**
 * A canonical virtual address as a number: takes what people write (number, bigint, hex string).
 *
 * @throws {RangeError} if the address is not a 64-bit value or not exact as a number (beyond ±2^53).
 * @example
 * toAddress('0xffff888000000000'); // => -131391639519232
 */
export function toAddress(value: number | bigint | string): number {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) {
      throw new RangeError(`address ${value}: beyond 2^53 an address is a bigint or a hex string`);
    }
    return value;
  }
  let wide: bigint;
  try {
    wide = BigInt(value);
  } catch {
    throw new RangeError(`address ${JSON.stringify(value)}: write it as 0xffff888000000000`);
  }
  const signed = BigInt.asIntN(64, wide);
  const narrow = Number(signed);
  if (wide >= TWO_64 || wide < -(TWO_64 >> 1n) || !Number.isSafeInteger(narrow)) {
    throw new RangeError(`address ${String(value)}: not a 64-bit address within ±2^53`);
  }
  return narrow;
}

/** The address as the manual writes it: 16 hex digits. */
export function formatAddress(address: number): string {
  return BigInt.asUintN(64, BigInt(address)).toString(16).padStart(16, '0');
}
