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
import type { GrantVerbs } from './choices.ts';
import { isProtectionConfigured } from './config.ts';

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

/** task->pgmap_prot_count: the same from V7 on. */
export const pgmapProtCountField: FieldDefinition = {
  name: 'pgmap_prot_count',
  type: 'u32',
  initial: 0,
  per: 'task',
};

/** The count's cell and the C names of the verbs, as each posting has them. */
interface Verbs {
  readonly count: FieldDefinition;
  readonly enable: string;
  readonly disable: string;
}

const VERBS: Readonly<Record<GrantVerbs, Verbs>> = Object.freeze({
  devAccess: {
    count: devPageAccessRefField,
    enable: 'dev_access_enable',
    disable: 'dev_access_disable',
  },
  pgmapMk: {
    count: pgmapProtCountField,
    enable: '__pgmap_mk_readwrite',
    disable: '__pgmap_mk_noaccess',
  },
  pgmapSet: {
    count: pgmapProtCountField,
    enable: '__pgmap_set_readwrite',
    disable: '__pgmap_set_noaccess',
  },
});

/** Whose rights a grant changes: {@link Pkrs} the calling task's, {@link GlobalAccess} everybody's. */
export type Rights = Pick<Pkrs, 'changeRights'>;

/** What the revision calls the grants, and where it counts them. */
export function grantVerbs(name: string): Verbs {
  return VERBS[name as GrantVerbs];
}

/**
 * Enable and disable, with the count that lets them nest.
 *
 * This one has interrupts off around count and rights, as RFC V2 does; others have the same methods.
 */
export class DevAccess {
  /** The count's column: of tasks, or of CPUs where each CPU counts. */
  readonly ref: Column;
  readonly branch: StaticKey;
  protected readonly kernel: Kernel;
  protected readonly machine: Machine;
  protected readonly tasks: Tasks;
  protected readonly pkrs: Pkrs;
  protected readonly grant: MarkWindow;
  protected readonly grantUpdate: MarkWindow;
  protected readonly nested: boolean;
  protected readonly warns: boolean;
  /** dev_page_pkey: the key, or PKEY_INVALID where there is none; fixed before the first device comes. */
  pkey: number = PKEY_INVALID;
  protected readonly surplusText: string;
  /** The static branch that enable and disable ask; null where they act whenever there is a key. */
  protected readonly gate: StaticKey | null;

  constructor(kernel: Kernel, pks: Pks, count?: FieldDefinition) {
    this.kernel = kernel;
    this.machine = kernel.machine;
    this.tasks = kernel.tasks;
    this.pkrs = pks.pkrs;
    this.grant = new MarkWindow(kernel.machine, Mark.grant);
    this.grantUpdate = new MarkWindow(kernel.machine, Mark.grantUpdate);
    const verbs = grantVerbs(kernel.choice('grantVerbs'));
    this.surplusText = `memremap: ${verbs.disable} without an enable`;
    this.ref = kernel.machine.column(count ?? verbs.count);
    this.branch = kernel.staticKey(devProtectionStaticKey);
    this.nested = kernel.choice('countNesting') === 'nested';
    this.warns = kernel.choice('underflow') === 'warns';
    this.gate = kernel.choice('accessGate') === 'key' ? null : this.branch;
    // One key for all device memory, which is never freed; without one, protection is off.
    const configured = isProtectionConfigured(kernel);
    kernel.initcall('subsys', () => {
      if (!configured) return;
      const key = pks.keys.forConsumer('Device Memory', 'pgmapProtection');
      if (key <= 0) return;
      this.pkey = key;
      pks.keys.keep(key);
    });
    const ofTask = this.ref.field.per === 'task';
    if (ofTask && kernel.choice('countFork') === 'inherited') {
      kernel.slots.fork.push((parent, child) => this.ref.set(child, this.ref.get(parent)));
    }
    if (kernel.choice('countCheck') === 'warns') this.#hookEnds();
    if (pks.enabled && configured && kernel.choice('entryCount') === 'saved') this.#hookEntry();
  }

  /** pgmap_protection_available: whether there is a key to protect with. */
  get available(): boolean {
    return this.pkey !== PKEY_INVALID;
  }

  /**
   * dev_access_enable: the calling context may touch protected device memory. Any context; nests.
   *
   * Use it around each use of a device mapping, and end it with {@link disable} on every path.
   * [PATCH 12/17] memremap: Add zone device access protection
   *
   * @param rights whose rights change; default the calling task's
   * @returns what {@link disable} takes where nothing is counted (`grantCounting` is `cookie`); else 0
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
  enable(rights: Rights = this.pkrs): number {
    if (!this.acts()) return 0;
    const current = this.tasks.getCurrent();
    this.grantUpdate.begin();
    const flags = this.machine.pushfCli();
    const ref = this.ref.get(current);
    if (ref === 0 || !this.nested) rights.changeRights(this.pkey, 0);
    this.ref.set(current, (ref + 1) >>> 0);
    this.machine.popfIf(flags);
    this.grantUpdate.handOver(this.grant);
    return 0;
  }

  /**
   * dev_access_disable: ends the innermost enable of the calling context. Any context.
   *
   * Use it once for each {@link enable}. One too many is refused with a WARN, or wraps the count, as the
   * revision has it. [PATCH 12/17] memremap: Add zone device access protection
   *
   * @param rights whose rights change; default the calling task's
   * @returns false where there was nothing to end
   */
  disable(_cookie?: number, rights: Rights = this.pkrs): boolean {
    if (!this.acts()) return false;
    const current = this.tasks.getCurrent();
    this.grant.handOver(this.grantUpdate);
    const flags = this.machine.pushfCli();
    const ref = this.ref.get(current);
    const surplus = ref === 0 && this.warns;
    if (surplus) {
      this.kernel.oops.warn(this.surplusText);
    } else {
      this.ref.set(current, (ref - 1) >>> 0);
      if (ref === 1 || !this.nested) {
        rights.changeRights(this.pkey, PKEY_DISABLE_ACCESS);
      }
    }
    this.machine.popfIf(flags);
    this.grantUpdate.end();
    return !surplus;
  }

  protected acts(): boolean {
    return this.gate === null ? this.pkey !== PKEY_INVALID : this.gate.unlikely();
  }

  /** The count of the running context. */
  protected readCount(): number {
    return this.ref.get(this.tasks.current);
  }

  protected writeCount(count: number): void {
    this.ref.set(this.tasks.current, count);
  }

  /** A program, and a task, ends without a grant: what is still open is closed, and reported. */
  #hookEnds(): void {
    const { slots, oops } = this.kernel;
    const close = (when: string): void => {
      const ref = this.readCount();
      if (ref === 0) return;
      oops.warn(`memremap: ${this.ref.field.name} is ${ref} at ${when}`);
      this.writeCount(0);
      this.pkrs.changeRights(this.pkey, PKEY_DISABLE_ACCESS);
    };
    slots.exec.push(() => close('exec'));
    slots.exit.push(() => close('exit'));
  }

  /** The count's part of idt_save_pkrs and idt_restore_pkrs. [PATCH 17/17] */
  #hookEntry(): void {
    const { slots, oops } = this.kernel;
    const word = slots.reserveEntryWord();
    slots.entrySave.push((state) => {
      state.words[word] = this.readCount();
      this.writeCount(0);
    });
    slots.entryRestore.push((state) => {
      if (this.readCount() !== 0) {
        oops.warnOnce(`memremap: ${this.ref.field.name} != 0 on exception exit`);
      }
      this.writeCount(state.words[word] as number);
    });
  }
}
