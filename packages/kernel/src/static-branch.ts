// SPDX-License-Identifier: MIT
// Static branches: code that is patched CPU by CPU when a count leaves or reaches 0. kernel/jump_label.c

import { type Column, type FieldDefinition, type Machine, PerCpu } from '@pkslab/x86-cpu';
import type { Mutex } from './lock.ts';

/** A static key: its count, and what each CPU's copy of the code does now. */
export interface StaticKeyDefinition {
  readonly name: string;
  readonly count: FieldDefinition;
  readonly text: FieldDefinition;
}

/**
 * Declares a static key, off at first (DEFINE_STATIC_KEY_FALSE).
 *
 * Use it for a path that should cost nothing while nobody needs it; `kernel.staticKey` makes the key.
 *
 * @example
 * const kernel = boot({ cpus: 2 });
 * const key = kernel.staticKey(defineStaticKey('my_key'));
 * kernel.call(() => key.inc());
 * kernel.call(() => key.enabled); // => true
 */
export function defineStaticKey(name: string): StaticKeyDefinition {
  return {
    name,
    count: { name: `${name}.enabled`, type: 'i32', initial: 0, per: 'global' },
    text: { name: `${name}.text`, type: 'bool', initial: 0, per: 'cpu' },
  };
}

export class StaticKey {
  readonly count: Column;
  readonly text: Column;
  private readonly thisCpu: PerCpu;
  private readonly mutex: Mutex;
  private readonly warn: (message: string) => void;

  constructor(
    machine: Machine,
    definition: StaticKeyDefinition,
    mutex: Mutex,
    warn: (message: string) => void,
  ) {
    this.count = machine.column(definition.count);
    this.text = machine.column(definition.text);
    this.thisCpu = new PerCpu(this.text);
    this.mutex = mutex;
    this.warn = warn;
  }

  /** static_branch_unlikely: what the code of the executing CPU says. */
  unlikely(): boolean {
    return this.thisCpu.read() !== 0;
  }

  /** The same, for code that is not hot: V8 inlines calls whose frequency it knows first, and knows no getter's. */
  get enabled(): boolean {
    return this.unlikely();
  }

  /** static_branch_inc: returns after every CPU has the new code. */
  inc(): void {
    this.mutex.lock();
    if (this.count.get(0) === 0) this.#patch(1);
    this.count.add(0, 1);
    this.mutex.unlock();
  }

  /** static_branch_dec: the code goes back when the last user is gone; a WARN where there was none. */
  dec(): void {
    this.mutex.lock();
    const count = this.count.add(0, -1);
    if (count < 0) this.warn('jump label: negative count!');
    if (count === 0) this.#patch(0);
    this.mutex.unlock();
  }

  /** text_poke on each CPU in turn. */
  #patch(enabled: number): void {
    for (let cpu = 0; cpu < this.text.values.length; cpu++) this.text.set(cpu, enabled);
  }
}
