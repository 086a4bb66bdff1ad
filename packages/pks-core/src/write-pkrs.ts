// SPDX-License-Identifier: MIT
// write_pkrs and pks_write_pkrs: cache and register in one go, and who keeps the scheduler out meanwhile (D-10).

import type { Kernel, Oops, Preempt } from '@pkslab/kernel';
import { type Column, IA32_PKRS, type Machine, type MarkWindow, PerCpu } from '@pkslab/x86-cpu';

/** How a revision writes cache and register. */
export interface WritePkrs {
  /** write_pkrs, pks_write_pkrs */
  write(value: number): void;
  /** The start of an update, before the saved value is read; its result is for `end`. */
  begin(): number;
  /** A thread's saved value, which is new, goes into cache and register, and `update` ends with them. */
  load(saved: Column, task: number, update: MarkWindow): void;
  /** The end of an update. */
  end(flags: number): void;
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

  begin(): number {
    return 0;
  }

  load(saved: Column, task: number, update: MarkWindow): void {
    this.preempt.disable();
    this.write(saved.get(task));
    update.end();
    this.preempt.enable();
  }

  end(_flags: number): void {}
}

/** The same by a caller that leaves preemption on: what write_pkrs warns of. Nobody posted it. */
class Preemptible extends Unconditional {
  override load(saved: Column, task: number, update: MarkWindow): void {
    this.write(saved.get(task));
    update.end();
  }
}

/** local_irq_save over the whole update: no interrupt of this CPU finds a part of it done. */
class IrqsOff extends Preemptible {
  override begin(): number {
    return this.machine.pushfCli();
  }

  override end(flags: number): void {
    this.machine.popfIf(flags);
  }
}

/** get_cpu_ptr, compare, both writes, put_cpu_ptr: safe anywhere, and paid for in every switch. RFC V3 to V7 */
class SelfContained extends Preemptible {
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
export type WritePkrsChoice =
  | 'unconditional'
  | 'preemptible'
  | 'irqsOff'
  | 'selfContained'
  | 'asserting';

const WRITES: Readonly<Record<WritePkrsChoice, new (kernel: Kernel, cache: PerCpu) => WritePkrs>> =
  {
    unconditional: Unconditional,
    preemptible: Preemptible,
    irqsOff: IrqsOff,
    selfContained: SelfContained,
    asserting: Asserting,
  };

/** The strategy of a choice. */
export function writePkrsOf(choice: WritePkrsChoice, kernel: Kernel, cache: PerCpu): WritePkrs {
  return new WRITES[choice](kernel, cache);
}
