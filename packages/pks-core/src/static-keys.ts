// SPDX-License-Identifier: MIT
// Static keys: no run-time state, nothing to exhaust. V7 to V10, include/linux/pks-keys.h

import { EINVAL, EOPNOTSUPP, type Kernel, KernelError } from '@pkslab/kernel';
import type { Keys } from './keys.ts';
import { isPksEnabled } from './pks-config.ts';
import type { PksConsumer, StaticKeyNumbers } from './pks-keys.ts';

export class StaticKeys implements Keys {
  readonly isStatic = true;
  readonly numbers: StaticKeyNumbers;
  readonly #kernel: Kernel;

  constructor(kernel: Kernel, numbers: StaticKeyNumbers) {
    this.#kernel = kernel;
    this.numbers = numbers;
  }

  forConsumer(_name: string, consumer: PksConsumer): number {
    if (!isPksEnabled(this.#kernel)) return -EOPNOTSUPP;
    return this.numbers.configured[consumer] ? this.numbers.key[consumer] : -EINVAL;
  }

  alloc(pkeyUser: string): never {
    throw this.#noAllocator('pks_key_alloc', `give ${pkeyUser} a constant`);
  }

  free(pkey: number): never {
    throw this.#noAllocator('pks_key_free', `key ${pkey} stays its consumer's`);
  }

  keep(): void {}

  isAllocated(pkey: number): boolean {
    return pkey >= 0 && pkey < this.numbers.max;
  }

  showAllocated(): string {
    const { key, configured } = this.numbers;
    const lines = (Object.keys(key) as PksConsumer[])
      .filter((consumer) => configured[consumer])
      .map((consumer) => `${key[consumer]}: ${consumer}\n`);
    return ['0: kernel\n', ...lines].join('');
  }

  #noAllocator(what: string, instead: string): KernelError {
    const { revision } = this.#kernel;
    return new KernelError(
      EOPNOTSUPP,
      `${what}: keys are static in ${revision}, there is no allocator: ${instead} of include/linux/pks-keys.h (keys.forConsumer)`,
    );
  }
}
