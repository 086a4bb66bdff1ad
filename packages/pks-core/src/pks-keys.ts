// SPDX-License-Identifier: MIT
// Keys that are numbers of the source: V7's enum, the macros of V9 and V10. include/linux/pks-keys.h

import { PKEY_DISABLE_ACCESS, PKEY_READ_WRITE, PKR_AD_BIT, PKS_NUM_KEYS, pkrMask } from './pkr.ts';

/** Who may use a static key. */
export type PksConsumer = 'pgmapProtection' | 'test';

/** A line of include/linux/pks-keys.h. */
interface KeyLine {
  readonly consumer: PksConsumer;
  /** The Kconfig symbol without which the key is not counted, under each of its names. */
  readonly configs: readonly string[];
  /** What the key starts with in every thread. */
  readonly protection: number;
}

const KEY_LINES: readonly KeyLine[] = Object.freeze([
  {
    consumer: 'pgmapProtection',
    configs: ['DEVMAP_ACCESS_PROTECTION', 'ZONE_DEVICE_ACCESS_PROTECTION'],
    protection: PKEY_DISABLE_ACCESS,
  },
  { consumer: 'test', configs: ['PKS_TEST', 'PKS_TESTING'], protection: PKEY_DISABLE_ACCESS },
]);

/** The keys of one configuration. */
export interface StaticKeyNumbers {
  /** PKS_KEY_PGMAP_PROTECTION, PKS_KEY_TEST; a number that is not configured may be another's too. */
  readonly key: Readonly<Record<PksConsumer, number>>;
  readonly configured: Readonly<Record<PksConsumer, boolean>>;
  /** PKS_KEY_MAX, PKS_KEY_NR_CONSUMERS in V7: the first number that is nobody's. */
  readonly max: number;
  /** PKS_INIT_VALUE */
  readonly initValue: number;
}

/**
 * PKS_NEW_KEY: the number after a key, where its own symbol is configured; else the same one again.
 *
 * @example
 * pksNewKey(1, true); // => 2
 * pksNewKey(1, false); // => 1
 */
export function pksNewKey(previous: number, configured: boolean): number {
  return previous + (configured ? 1 : 0);
}

/** PKS_DECLARE_INIT_VALUE: a key's pair in PKS_INIT_VALUE; nothing where it is not configured. */
export function pksDeclareInitValue(key: number, protection: number, configured: boolean): number {
  return configured ? pkrMask(key, protection) : 0;
}

/**
 * The numbers and the first register value for the consumers that are configured.
 *
 * With both: keys 1 and 2, PKS_KEY_MAX 3. Keys from there on have AD, so the value is the same in every
 * configuration. V9, V10
 *
 * @example
 * const both = staticKeyNumbers(() => true);
 * both.key.test; // => 2
 * both.initValue; // => 0x55555554
 * staticKeyNumbers((config) => config === 'PKS_TEST').key.test; // => 1
 */
export function staticKeyNumbers(
  isConfigured: (config: string) => boolean,
  allKeys = false,
): StaticKeyNumbers {
  const key: Record<string, number> = {};
  const configured: Record<string, boolean> = {};
  let last = 0;
  let initValue = pkrMask(0, PKEY_READ_WRITE);
  for (const line of KEY_LINES) {
    const present = line.configs.some(isConfigured);
    last = pksNewKey(last, present);
    key[line.consumer] = last;
    configured[line.consumer] = present;
    initValue += pksDeclareInitValue(last, line.protection, present);
  }
  // PKS_TEST_ALL_KEYS: the test programme uses whatever number there is.
  const max = allKeys ? PKS_NUM_KEYS : last + 1;
  for (let rest = last + 1; rest < PKS_NUM_KEYS; rest++) initValue += pkrMask(rest, PKR_AD_BIT);
  return {
    key: key as StaticKeyNumbers['key'],
    configured: configured as StaticKeyNumbers['configured'],
    max,
    initValue,
  };
}
