// SPDX-License-Identifier: MIT
// What keeps an update of saved value, cache and register whole against the scheduler of its CPU (D-10).

import type { Kernel, Preempt } from '@pkslab/kernel';
import type { Machine } from '@pkslab/x86-cpu';

/** Values of the choice `updateScope`. */
export type UpdateScopeChoice = 'preemptOff' | 'preemptible' | 'irqsOff';

/** What an update does around its parts: nothing, where nobody keeps it whole or write_pkrs does so itself. */
export class UpdateScope {
  /** Before the saved value is read; the result is for `end`. */
  begin(): number {
    return 0;
  }

  /** Before cache and register are written. */
  enterWrite(): void {}
  leaveWrite(): void {}

  /** @param _flags what `begin` gave */
  end(_flags: number): void {}
}

/** preempt_disable around the write. [PATCH 05/17], V8 to V10 */
class PreemptOff extends UpdateScope {
  private readonly preempt: Preempt;

  constructor({ preempt }: Kernel) {
    super();
    this.preempt = preempt;
  }

  override enterWrite(): void {
    this.preempt.disable();
  }

  override leaveWrite(): void {
    this.preempt.enable();
  }
}

/** local_irq_save over the whole update: no interrupt of this CPU finds a part of it done. */
class IrqsOff extends UpdateScope {
  private readonly machine: Machine;

  constructor({ machine }: Kernel) {
    super();
    this.machine = machine;
  }

  override begin(): number {
    return this.machine.pushfCli();
  }

  override end(flags: number): void {
    this.machine.popfIf(flags);
  }
}

const SCOPES: Readonly<Record<UpdateScopeChoice, new (kernel: Kernel) => UpdateScope>> = {
  preemptOff: PreemptOff,
  preemptible: UpdateScope,
  irqsOff: IrqsOff,
};

/** The strategy of a choice. */
export function updateScopeOf(choice: UpdateScopeChoice, kernel: Kernel): UpdateScope {
  return new SCOPES[choice](kernel);
}
