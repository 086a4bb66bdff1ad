// SPDX-License-Identifier: MIT
// Fault callbacks: a consumer may let an access to its key through. V7 to V10, pks_handle_key_fault

import type { Kernel, Regs } from '@pkslab/kernel';
import { PF_W } from '@pkslab/x86-cpu';
import { keyOfAddress } from './lookup-address.ts';

/** A consumer's callback: true if the access may be tried again. */
export type PksKeyCallback = (regs: Regs, address: number, write: boolean) => boolean;

/** How pks_handle_key_fault looks into its table. */
export type KeyCallbackChoice = 'none' | 'pastEnd' | 'bounded';

/** What lies behind V7's table is not known: here an address that nothing maps. */
const BEHIND_TABLE = -0x1000;

/** pks_key_callbacks: a table of the source, as long as there are consumers; filled at boot. */
export class KeyCallbacks {
  readonly #kernel: Kernel;
  /** Keys that the table has room for. */
  readonly #keys: number;
  readonly #table = new Map<number, PksKeyCallback>();

  constructor(kernel: Kernel, keys: number, choice: KeyCallbackChoice) {
    this.#kernel = kernel;
    this.#keys = keys;
    if (choice === 'none') return;
    // V7 compared with `>`: the key behind the last consumer's passes (D-46).
    const last = choice === 'pastEnd' ? keys : keys - 1;
    kernel.slots.keyFault.push((regs, errorCode, address) => {
      if (this.#table.size === 0) return false;
      const key = keyOfAddress(kernel, address);
      return key >= 0 && key <= last && this.#call(key, regs, errorCode, address);
    });
  }

  /**
   * Puts a consumer's callback into the table, at boot.
   *
   * Use it for what a fault on the consumer's own key means, e.g. `updateException` and true to let it through.
   * Where a revision has no callbacks nothing calls it.
   *
   * @example
   * const kernel = boot({ revision: 'v10', modules: [pksCore, pksTest] });
   * const { callbacks, keys, pkrs } = kernel.module(pksCore);
   * const key = keys.forConsumer('mine', 'test');
   * callbacks.register(key, (regs) => {
   *   pkrs.updateException(regs.state, key, 0);
   *   return true;
   * });
   * const page = kernel.call(() => kernel.mm.vmalloc(4096, { key, writable: true }));
   * kernel.call(() => kernel.machine.tryStore32(page, 1)); // => false: it went through
   */
  register(pkey: number, callback: PksKeyCallback): void {
    this.#table.set(pkey, callback);
  }

  #call(key: number, regs: Regs, errorCode: number, address: number): boolean {
    // A call through whatever pointer lies there; the fetch is what the CPU does of it.
    if (key >= this.#keys) this.#kernel.machine.fetch(BEHIND_TABLE);
    const callback = this.#table.get(key);
    return callback?.(regs, address, (errorCode & PF_W) !== 0) ?? false;
  }
}
