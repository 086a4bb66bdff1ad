// SPDX-License-Identifier: MIT
// The key API without CONFIG_ARCH_HAS_SUPERVISOR_PKEYS. [PATCH 05/17] x86/pks: Add PKS kernel API

import { EINVAL } from '@pkslab/kernel';
import type { Keys } from './keys.ts';

/** Nobody gets a key; giving one back is nothing. The file `x86/pks_keys_allocated` is not there. */
export class StubKeys implements Keys {
  readonly isStatic = false;

  forConsumer(): number {
    return -EINVAL;
  }

  alloc(): number {
    return -EINVAL;
  }

  free(): void {}

  keep(): void {}

  isAllocated(): boolean {
    return false;
  }

  showAllocated(): string {
    return '';
  }
}
