// SPDX-License-Identifier: MIT
// Keys: who has which. [PATCH 05/17] x86/pks: Add PKS kernel API, [PATCH 06/17] x86/pks: Add a debugfs file

import { EINVAL, ENOSPC, EOPNOTSUPP, type Kernel } from '@pkslab/kernel';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import { type FreeScope, type FreeScopeChoice, freeScopeOf } from './free-scope.ts';
import { type KeyMap, keyMapOf } from './key-map.ts';
import type { Keys } from './keys.ts';
import { PKS_KERN_DEFAULT_KEY, PKS_NUM_KEYS } from './pkr.ts';
import type { Pkrs } from './pkrs.ts';

/** pks_key_users: the owner's name, as its number in the name table; 0 is NULL. */
const keyUsersField: FieldDefinition = {
  name: 'pks_key_users',
  type: 'u32',
  initial: 0,
  per: 'object',
  count: PKS_NUM_KEYS,
};

export class KeyAllocator implements Keys {
  readonly isStatic = false;
  readonly #kernel: Kernel;
  readonly #map: KeyMap;
  readonly #users: Column;
  readonly #names = new Map<number, string>();
  readonly #kept = new Set<number>();
  readonly #checked: boolean;
  readonly #giveBack: FreeScope;
  /** What alloc returns without PKS. */
  readonly #noPks: number;

  constructor(kernel: Kernel, pkrs: Pkrs) {
    this.#kernel = kernel;
    this.#map = keyMapOf(kernel.choice('keyAlloc'), kernel);
    this.#users = kernel.machine.column(keyUsersField);
    this.#checked = kernel.choice('freePolicy') === 'checked';
    this.#giveBack = freeScopeOf(kernel.choice('freeScope') as FreeScopeChoice, kernel, pkrs);
    this.#noPks = kernel.choice('noPksErrno') === 'EOPNOTSUPP' ? -EOPNOTSUPP : -EINVAL;
    this.#users.values[PKS_KERN_DEFAULT_KEY] = this.#nameNumber('kernel');
    kernel.initcall('late', () => {
      if (!kernel.machine.features.pks) return;
      kernel.debugfs.createFile('x86/pks_keys_allocated', {
        mode: 0o400,
        read: () => this.showAllocated(),
      });
    });
  }

  /**
   * pks_key_alloc: the lowest free key, or −EINVAL without PKS, or −ENOSPC when all 15 are taken.
   *
   * Use it once for each domain of memory that is to be protected. May sleep. The key is access-disabled
   * in every thread that never changed it. [PATCH 05/17] x86/pks: Add PKS kernel API
   *
   * @param pkeyUser shown in x86/pks_keys_allocated
   * @example
   * const kernel = boot({ modules: [pksCore] });
   * const { keys } = kernel.module(pksCore);
   * kernel.call(() => keys.alloc('my driver')); // => 1
   * kernel.call(() => kernel.debugfs.read('x86/pks_keys_allocated')); // => '0: kernel\n1: my driver\n'
   */
  alloc(pkeyUser: string): number {
    this.#kernel.oops.mightSleep();
    if (!this.#kernel.machine.features.pks) return this.#noPks;
    this.#map.lock();
    let nr = this.#map.take();
    if (nr < PKS_NUM_KEYS) {
      this.#users.set(nr, this.#nameNumber(pkeyUser));
    } else {
      this.#kernel.print(`x86/pkeys: Cannot allocate supervisor key for ${pkeyUser}.`);
      nr = -ENOSPC;
    }
    this.#map.unlock();
    return nr;
  }

  forConsumer(name: string): number {
    return this.alloc(name);
  }

  /** Declares a key that is never given back, at boot: where frees are checked, one of it is refused. */
  keep(pkey: number): void {
    this.#kept.add(pkey);
  }

  isAllocated(pkey: number): boolean {
    return this.#map.isTaken(pkey);
  }

  /**
   * pks_key_free: gives a key back. May sleep. Closes it in the calling thread, or everywhere (`freeScope`).
   *
   * Use it when nothing is mapped with the key any more: the next owner would get those mappings too.
   * Without PKS, and for a number that is no key of a driver, it does nothing. A key that is free, that is
   * kept, that is another's or that a mapping still carries is refused with a WARN where the revision checks,
   * and freed where it trusts its callers.
   *
   * @param pkeyUser the name it was allocated with; without it the owner is not checked
   */
  free(pkey: number, pkeyUser?: string): void {
    this.#kernel.oops.mightSleep();
    if (!this.#kernel.machine.features.pks) return;
    if (pkey >= PKS_NUM_KEYS || pkey <= PKS_KERN_DEFAULT_KEY) return;
    this.#map.lock();
    const complaint = this.#checked ? this.#complaint(pkey, pkeyUser) : null;
    if (complaint !== null) {
      this.#kernel.oops.warn(`x86/pkeys: free of key ${pkey}, ${complaint}`);
    } else {
      this.#giveBack(pkey, () => this.#release(pkey));
    }
    this.#map.unlock();
  }

  #release(pkey: number): void {
    this.#map.giveBack(pkey);
    this.#users.set(pkey, 0);
  }

  #complaint(pkey: number, pkeyUser: string | undefined): string | null {
    if (!this.isAllocated(pkey)) return 'which is not allocated';
    const owner = this.#names.get(this.#users.get(pkey));
    if (this.#kept.has(pkey)) return `which ${owner} never gives back`;
    if (pkeyUser !== undefined && pkeyUser !== owner) {
      return `which belongs to ${owner}, not to ${pkeyUser}`;
    }
    return this.#kernel.mm.isKeyMapped(pkey) ? 'which a mapping still carries' : null;
  }

  /** The text of x86/pks_keys_allocated: `%d: %s` for each key in use. */
  showAllocated(): string {
    this.#map.lock();
    const map = this.#map.read();
    let text = '';
    for (let key = 0; key < PKS_NUM_KEYS; key++) {
      if (((map >>> key) & 1) === 0) continue;
      text += `${key}: ${this.#names.get(this.#users.get(key)) ?? '(null)'}\n`;
    }
    this.#map.unlock();
    return text;
  }

  /** A name's number: by the name alone (FNV-1a), so that it is the same whoever comes first. */
  #nameNumber(name: string): number {
    let number = 0x811c_9dc5;
    for (const letter of name) {
      number = Math.imul(number ^ (letter.codePointAt(0) as number), 0x0100_0193) >>> 0;
    }
    this.#names.set(number, name);
    return number;
  }
}
