// SPDX-License-Identifier: MIT
// What pks_update_protection looks at before it does what it is told, and its stub.

import type { Kernel } from '@pkslab/kernel';
import {
  PKEY_DISABLE_ACCESS,
  PKEY_DISABLE_WRITE,
  PKS_KERN_DEFAULT_KEY,
  PKS_NUM_KEYS,
} from './pkr.ts';
import { isPksConfigured } from './pks-config.ts';
import type { StaticKeyNumbers } from './pks-keys.ts';

const RIGHTS = PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE;

/** What is wrong with an update. */
interface UpdateComplaint {
  /** The message; of a WARN_ON_ONCE its condition, which is never printed. */
  readonly text: string;
  /** How it is said. */
  readonly kind: 'warn' | 'warnOnOnce' | 'silent';
  /** Not done; else done as far as the bits exist. */
  readonly refused: boolean;
}

/** Null for an update that is done without a word. */
export type UpdateCheck = (pkey: number, protection: number) => UpdateComplaint | null;

/** The check of the choice `updatePolicy`. */
export function updateCheckOf(
  kernel: Kernel,
  numbers: StaticKeyNumbers,
  isAllocated: (pkey: number) => boolean,
): UpdateCheck {
  if (!isPksConfigured(kernel)) {
    const kind = kernel.choice('updateStub') === 'warns' ? 'warnOnOnce' : 'silent';
    return () => ({ text: 'pks_update_protection stub', kind, refused: true });
  }
  const policy = kernel.choice('updatePolicy');
  if (policy === 'checked') {
    return (pkey, protection) => {
      const text = complaintOf(isAllocated, pkey, protection);
      return text === null ? null : { text: `x86/pkeys: ${text}`, kind: 'warn', refused: true };
    };
  }
  // Both are u8 since V9.
  if (policy === 'bounded')
    return (pkey, bits) => outOfBounds(numbers.max, pkey & 0xff, bits & 0xff);
  return () => null;
}

/** WARN_ON_ONCE(key >= PKS_KEY_MAX), and that of pkey_update_pkval for other bits: key 0 may be closed. V10 */
function outOfBounds(max: number, pkey: number, protection: number): UpdateComplaint | null {
  if (pkey >= max) return { text: 'pkey >= PKS_KEY_MAX', kind: 'warnOnOnce', refused: true };
  if ((protection & ~RIGHTS) === 0) return null;
  return { text: 'accessbits & ~PKEY_ACCESS_MASK', kind: 'warnOnOnce', refused: false };
}

function complaintOf(
  isAllocated: (pkey: number) => boolean,
  pkey: number,
  protection: number,
): string | null {
  if (pkey === PKS_KERN_DEFAULT_KEY) return 'update of key 0, which every mapping has';
  if (!Number.isInteger(pkey) || pkey < 0 || pkey >= PKS_NUM_KEYS) {
    return `update of key ${pkey}: keys are 1 to ${PKS_NUM_KEYS - 1}`;
  }
  if ((protection & ~RIGHTS) !== 0) {
    return `update of key ${pkey} with protection 0x${(protection >>> 0).toString(16)}: there is 0x1 and 0x2`;
  }
  return isAllocated(pkey) ? null : `update of key ${pkey}, which is not allocated`;
}
