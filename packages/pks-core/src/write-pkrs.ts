// SPDX-License-Identifier: MIT
// write_pkrs and pks_write_pkrs: cache and register in one go.

import type { Kernel, Oops, Preempt } from '@pkslab/kernel';
import { IA32_PKRS, type Machine, PerCpu } from '@pkslab/x86-cpu';

/** How a revision writes cache and register. */
export interface WritePkrs {
  /** write_pkrs, pks_write_pkrs */
  write(value: number): void;
}

/** No compare; the caller has preemption off. [PATCH 04/17] */
class Unconditional implements WritePkrs {
  protected readonly machine: Machine;
  protected readonly cache: PerCpu;
  protected readonly preempt: Preempt;

  constructor(kernel: Kernel, cache: PerCpu) {
    this.machine = kernel.machine;
    this.preempt = kernel.preempt;
    this.cache = cache;
  }

  write(value: number): void {
    this.cache.write(value);
    this.machine.wrmsr(IA32_PKRS, value);
  }
}

/** get_cpu_ptr, compare, both writes, put_cpu_ptr: safe anywhere, and paid for in every switch. RFC V3 to V7 */
class SelfContained extends Unconditional {
  override write(value: number): void {
    this.preempt.disable();
    if (this.cache.read() !== value) {
      this.cache.write(value);
      this.machine.wrmsr(IA32_PKRS, value);
    }
    this.preempt.enable();
  }
}

/** Compare, both writes; a WARN where the scheduler could come between. V8 to V10 */
class Asserting extends Unconditional {
  private readonly oops: Oops;
  private readonly interruptFlag: PerCpu;

  constructor(kernel: Kernel, cache: PerCpu) {
    super(kernel, cache);
    this.oops = kernel.oops;
    this.interruptFlag = new PerCpu(kernel.machine.registers.interruptFlag);
  }

  override write(value: number): void {
    if (this.preempt.count.read() === 0 && this.interruptFlag.read() !== 0) {
      this.oops.warnOn('lockdep_assert_preemption_disabled()');
    }
    if (this.cache.read() === value) return;
    this.cache.write(value);
    this.machine.wrmsr(IA32_PKRS, value);
  }
}

/** Values of the choice `writePkrs`. */
export type WritePkrsChoice = 'unconditional' | 'selfContained' | 'asserting';

const WRITES: Readonly<Record<WritePkrsChoice, new (kernel: Kernel, cache: PerCpu) => WritePkrs>> =
  {
    unconditional: Unconditional,
    selfContained: SelfContained,
    asserting: Asserting,
  };

/** The strategy of a choice. */
export function writePkrsOf(choice: WritePkrsChoice, kernel: Kernel, cache: PerCpu): WritePkrs {
  return new WRITES[choice](kernel, cache);
}
