// SPDX-License-Identifier: MIT
// The pair of bits that a key has in PKRU and PKRS. [PATCH 01/17] x86/pkeys: Create pkeys_internal.h,
// [PATCH 02/17] x86/fpu: Refactor arch_set_user_pkey_access()

/** The bits of a key's pair, PKR_BITS_PER_PKEY wide, at bit 2 × key. */
export const PKR_AD_BIT = 0x1; // access disable
export const PKR_WD_BIT = 0x2; // write disable
export const PKR_BITS_PER_PKEY = 2;

/** Both bits of a key's pair. */
const PAIR = 0b11;

/** Rights as callers ask for them; the values are those of pkey_alloc(2). */
export const PKEY_READ_WRITE = 0x0;
export const PKEY_DISABLE_ACCESS = 0x1;
export const PKEY_DISABLE_WRITE = 0x2;

/** PKS_NUM_KEYS: keys 0 to 15. */
export const PKS_NUM_KEYS = 16;
/** PKS_KERN_DEFAULT_KEY: the key of every page that asks for none. */
export const PKS_KERN_DEFAULT_KEY = 0;
/** INIT_PKRS_VALUE, PKS_INIT_VALUE from V9 on: access disabled for keys 1 to 15, key 0 open. */
export const INIT_PKRS_VALUE = 0x5555_5554;

/**
 * PKR_AD_KEY: the access-disable bit of a key (0 to 15), in its place. [PATCH 01/17]
 *
 * @example
 * pkrAdKey(1); // => 0x4
 */
export function pkrAdKey(pkey: number): number {
  return (PKR_AD_BIT << (pkey * PKR_BITS_PER_PKEY)) >>> 0;
}

/** PKR_AD_MASK, PKR_WD_MASK, PKR_RW_MASK: a pair of a key, in its place; what consumers declare. V8 and later */
export function pkrMask(pkey: number, protection: number): number {
  return ((protection & PAIR) << (pkey * PKR_BITS_PER_PKEY)) >>> 0;
}

/** The pair of a key in a register value. */
export function pkrPair(value: number, pkey: number): number {
  return (value >>> (pkey * PKR_BITS_PER_PKEY)) & PAIR;
}

/**
 * get_new_pkr: a register value with the pair of one key replaced. Writes nothing.
 *
 * Use it for PKRU and PKRS alike. The key is not checked; other bits of `initVal` are ignored.
 * [PATCH 02/17] x86/fpu: Refactor arch_set_user_pkey_access()
 *
 * @param initVal PKEY_DISABLE_ACCESS and PKEY_DISABLE_WRITE or-ed together, or 0
 * @example
 * getNewPkr(0x55555554, 1, 0); // => 0x55555550
 */
export function getNewPkr(oldPkr: number, pkey: number, initVal: number): number {
  const shift = pkey * PKR_BITS_PER_PKEY;
  return ((oldPkr & ~(PAIR << shift)) | ((initVal & PAIR) << shift)) >>> 0;
}
