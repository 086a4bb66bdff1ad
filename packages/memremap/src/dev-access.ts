// SPDX-License-Identifier: MIT
// The device key and who may use it now. [PATCH 12/17] memremap: Add zone device access protection

import {
  defineStaticKey,
  type Kernel,
  Mark,
  type StaticKey,
  type StaticKeyDefinition,
  type Tasks,
} from '@pkslab/kernel';
import { PKEY_DISABLE_ACCESS, type Pkrs, type Pks } from '@pkslab/pks-core';
import { type Column, type FieldDefinition, type Machine, MarkWindow } from '@pkslab/x86-cpu';

/** PKEY_INVALID (INT_MIN) */
export const PKEY_INVALID = -0x8000_0000;

/** dev_protection_static_key */
export const devProtectionStaticKey: StaticKeyDefinition = defineStaticKey(
  'dev_protection_static_key',
);

/** task->dev_page_access_ref: enables that are open. */
export const devPageAccessRefField: FieldDefinition = {
  name: 'dev_page_access_ref',
  type: 'u32',
  initial: 0,
  per: 'task',
};

const devPagePkeyField: FieldDefinition = {
  name: 'dev_page_pkey',
  type: 'i32',
  initial: PKEY_INVALID,
  per: 'global',
};

/** dev_access_enable and dev_access_disable, with the count that lets them nest. */
export class DevAccess {
  readonly ref: Column;
  readonly branch: StaticKey;
  private readonly pkeyCell: Column;
  private readonly kernel: Kernel;
  private readonly machine: Machine;
  private readonly tasks: Tasks;
  private readonly pkrs: Pkrs;
  private readonly grant: MarkWindow;
  private readonly grantUpdate: MarkWindow;
  private readonly nested: boolean;
  private readonly warns: boolean;
  /** The static branch that enable and disable ask; null where they act whenever there is a key. */
  private readonly gate: StaticKey | null;

  constructor(kernel: Kernel, pks: Pks) {
    this.kernel = kernel;
    this.machine = kernel.machine;
    this.tasks = kernel.tasks;
    this.pkrs = pks.pkrs;
    this.grant = new MarkWindow(kernel.machine, Mark.grant);
    this.grantUpdate = new MarkWindow(kernel.machine, Mark.grantUpdate);
    this.ref = kernel.machine.column(devPageAccessRefField);
    this.pkeyCell = kernel.machine.column(devPagePkeyField);
    this.branch = kernel.staticKey(devProtectionStaticKey);
    this.nested = kernel.choice('countNesting') === 'nested';
    this.warns = kernel.choice('underflow') === 'warns';
    this.gate = kernel.choice('accessGate') === 'key' ? null : this.branch;
    // One key for all device memory, allocated once and never freed; without one, protection is off.
    kernel.initcall('subsys', () => {
      const key = pks.keys.forConsumer('Device Memory', 'pgmapProtection');
      this.pkeyCell.set(0, key < 0 ? PKEY_INVALID : key);
      if (key > 0) pks.keys.keep(key);
    });
    if (kernel.choice('countCheck') === 'warns') this.#hookEnds();
    if (kernel.machine.features.pks && kernel.choice('entryCount') === 'saved') this.#hookEntry();
  }

  /** dev_page_pkey: the key, or PKEY_INVALID while there is none. */
  get pkey(): number {
    return this.pkeyCell.get(0);
  }

  /**
   * dev_access_enable: the calling context may touch protected device memory. Any context; nests.
   *
   * Use it around each use of a device mapping, and end it with {@link disable} on every path.
   * [PATCH 12/17] memremap: Add zone device access protection
   *
   * @example
   * const kernel = boot({ modules: [pksCore, memremap] });
   * const { access, pagemaps } = kernel.module(memremap);
   * const base = 0x1_0000_0000;
   * kernel.machine.memory.addRegion(base, 4096, { read() {}, write() {} });
   * const request = { physical: base, size: 4096, type: MemoryType.fsDax, flags: PGMAP_PROT_ENABLED };
   * const { address } = kernel.call(() => pagemaps.memremapPages(request));
   * kernel.call(() => kernel.machine.tryStore32(address, 1)); // => true: refused
   * kernel.call(() => access.enable());
   * kernel.call(() => kernel.machine.tryStore32(address, 1)); // => false
   */
  enable(): void {
    if (!this.acts()) return;
    const current = this.tasks.getCurrent();
    this.grantUpdate.begin();
    const flags = this.machine.pushfCli();
    const ref = this.ref.get(current);
    if (ref === 0 || !this.nested) this.pkrs.changeRights(this.pkeyCell.get(0), 0);
    this.ref.set(current, (ref + 1) >>> 0);
    this.machine.popfIf(flags);
    this.grantUpdate.handOver(this.grant);
  }

  /**
   * dev_access_disable: ends the innermost enable of the calling context. Any context.
   *
   * Use it once for each {@link enable}. One too many is refused with a WARN, or wraps the count, as the
   * revision has it. [PATCH 12/17] memremap: Add zone device access protection
   *
   * @returns false where there was nothing to end
   */
  disable(): boolean {
    if (!this.acts()) return false;
    const current = this.tasks.getCurrent();
    this.grant.handOver(this.grantUpdate);
    const flags = this.machine.pushfCli();
    const ref = this.ref.get(current);
    const surplus = ref === 0 && this.warns;
    if (surplus) {
      this.#warnSurplus();
    } else {
      this.ref.set(current, (ref - 1) >>> 0);
      if (ref === 1 || !this.nested) {
        this.pkrs.changeRights(this.pkeyCell.get(0), PKEY_DISABLE_ACCESS);
      }
    }
    this.machine.popfIf(flags);
    this.grantUpdate.end();
    return !surplus;
  }

  private acts(): boolean {
    return this.gate === null ? this.pkey !== PKEY_INVALID : this.gate.unlikely();
  }

  #warnSurplus(): void {
    this.kernel.oops.warn('memremap: dev_access_disable without an enable');
  }

  /** A program, and a task, ends without a grant: what is still open is closed, and reported. */
  #hookEnds(): void {
    const { slots, oops } = this.kernel;
    const close = (when: string, task: number): void => {
      const ref = this.ref.get(task);
      if (ref === 0) return;
      oops.warn(`memremap: dev_page_access_ref is ${ref} at ${when}`);
      this.ref.set(task, 0);
      this.pkrs.changeRights(this.pkey, PKEY_DISABLE_ACCESS);
    };
    slots.exec.push((task) => close('exec', task));
    slots.exit.push((task) => close('exit', task));
  }

  /** The count's part of idt_save_pkrs and idt_restore_pkrs. [PATCH 17/17] */
  #hookEntry(): void {
    const { slots, tasks, oops } = this.kernel;
    const word = slots.reserveEntryWord();
    slots.entrySave.push((state) => {
      state.words[word] = this.ref.get(tasks.current);
      this.ref.set(tasks.current, 0);
    });
    slots.entryRestore.push((state) => {
      if (this.ref.get(tasks.current) !== 0) {
        oops.warnOnce('memremap: dev_page_access_ref != 0 on exception exit');
      }
      this.ref.set(tasks.current, state.words[word] as number);
    });
  }
}
