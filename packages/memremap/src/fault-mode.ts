// SPDX-License-Identifier: MIT
// What a stray access becomes: memremap.pks_fault_mode and the fault callback of the device key. V7 to V10

import { EINVAL, type Kernel, type Regs } from '@pkslab/kernel';
import type { Pks } from '@pkslab/pks-core';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import { isProtectionConfigured } from './config.ts';
import type { DevAccess } from './dev-access.ts';

const MODES = ['relaxed', 'strict'] as const;

/** pks_fault_mode: 0 relaxed, 1 strict. */
const faultModeField = (atBoot: string): FieldDefinition => ({
  name: 'pks_fault_mode',
  type: 'u8',
  initial: Math.max(0, MODES.indexOf(atBoot as (typeof MODES)[number])),
  per: 'global',
});

/** Where the parameter is; the one file tree of a simulated kernel stands for sysfs too. */
export const PKS_FAULT_MODE_FILE = 'module/memremap/parameters/pks_fault_mode';

/** The parameter, by what a program wrote: the number of a mode, or −EINVAL. */
type Parse = (text: string) => number;

const PARSERS: Readonly<Record<string, Parse>> = Object.freeze({
  exact: (text) => {
    const mode = MODES.indexOf(text as (typeof MODES)[number]);
    return mode < 0 ? -EINVAL : mode;
  },
  // sysfs_streq is true for a match, and was taken for strcmp: `relaxed` fails the first test (D-46).
  inverted: (text) => (text !== 'relaxed' ? MODES.indexOf('relaxed') : MODES.indexOf('strict')),
});

/** pgmap_pks_fault_callback, and the parameter that it looks at. */
export class FaultMode {
  readonly #kernel: Kernel;
  readonly #mode: Column;
  readonly #access: DevAccess;
  readonly #relieve: (regs: Regs) => void;

  constructor(kernel: Kernel, pks: Pks, access: DevAccess) {
    this.#kernel = kernel;
    this.#access = access;
    const atBoot = kernel.choice('faultMode');
    this.#mode = kernel.machine.column(faultModeField(atBoot));
    this.#relieve = this.#relief(kernel.choice('faultRelief'), pks);
    if (atBoot === 'none' || !isProtectionConfigured(kernel)) return;
    const parse = PARSERS[kernel.choice('faultModeParsing')] as Parse;
    kernel.initcall('late', () => {
      if (access.available) pks.callbacks.register(access.pkey, (regs) => this.#onFault(regs));
      kernel.debugfs.createFile(PKS_FAULT_MODE_FILE, {
        mode: 0o644,
        read: () => `${MODES[this.#mode.get(0)]}\n`,
        write: (data) => this.#write(parse(data.replace(/\n$/, '')), data.length),
      });
    });
  }

  #write(mode: number, count: number): number {
    if (mode < 0) return mode;
    this.#mode.set(0, mode);
    return count;
  }

  /** pgmap_pks_fault_callback: whether the access is tried again, with access now. */
  #onFault(regs: Regs): boolean {
    if (this.#mode.get(0) === MODES.indexOf('strict')) return false;
    this.#kernel.oops.warnOnce('Page map protection being disabled');
    this.#relieve(regs);
    return true;
  }

  #relief(choice: string, pks: Pks): (regs: Regs) => void {
    if (choice === 'abandon') return () => void pks.abandonProtections(this.#access.pkey);
    return (regs) => pks.pkrs.updateException(regs.state, this.#access.pkey, 0);
  }
}
