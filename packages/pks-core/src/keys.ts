// SPDX-License-Identifier: MIT
// The key API as every revision's callers see it: allocated at run time, or constants of the source.

import type { PksConsumer } from './pks-keys.ts';

/** Who has which key. {@link KeyAllocator} until the RFCs, {@link StaticKeys} from V7 on. */
export interface Keys {
  /** Whether keys are constants of the source, which nobody takes or gives back. */
  readonly isStatic: boolean;

  /**
   * A driver's key, the way its revision gives it: pks_key_alloc(name), or the constant of a consumer.
   *
   * Use it in a driver that is to run in every revision. May sleep.
   *
   * @returns the key, or a negative errno: −EINVAL or −EOPNOTSUPP without PKS, −ENOSPC where all are taken,
   * −EINVAL for a consumer that is not configured
   */
  forConsumer(name: string, consumer: PksConsumer): number;

  /**
   * pks_key_alloc
   *
   * @throws {KernelError} EOPNOTSUPP where keys are static.
   */
  alloc(pkeyUser: string): number;

  /**
   * pks_key_free
   *
   * @throws {KernelError} EOPNOTSUPP where keys are static.
   */
  free(pkey: number, pkeyUser?: string): void;

  /** Declares a key that is never given back, at boot; nothing where keys are static. */
  keep(pkey: number): void;

  /** Whether somebody has a key. */
  isAllocated(pkey: number): boolean;

  /** The text of x86/pks_keys_allocated; lines of the same shape where keys are static and have no file. */
  showAllocated(): string;
}
