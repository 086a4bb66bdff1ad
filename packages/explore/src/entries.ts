// SPDX-License-Identifier: MIT
// The routines by which the kernel is entered: one for each event and for all that its handler is told.

import { type Machine, Outcome } from '@pkslab/x86-cpu';
import type { FrameKind } from './invariant.ts';
import type { Routine } from './node.ts';
import type { Tries } from './trie.ts';

/** In place of an external interrupt's vector. */
export const NMI = -1;
export const MACHINE_CHECK = -2;

/** Makes each routine once. */
export class Entries {
  readonly #machine: Machine;
  readonly #tries: Tries;
  /** Of interrupts, NMIs and machine checks, by vector and saved flags. */
  readonly #events = new Map<number, Routine>();
  /** Of exceptions, by what the handler is told. */
  readonly #exceptions = new Map<string, Routine>();

  constructor(machine: Machine, tries: Tries) {
    this.#machine = machine;
    this.#tries = tries;
  }

  /** An interrupt, an NMI or a machine check. */
  event(vector: number, flags: number): Routine {
    const id = vector * 0x1_0000 + flags;
    let routine = this.#events.get(id);
    if (routine === undefined) {
      const machine = this.#machine;
      const frame = frameOf(vector);
      const key = frame === 'irq' ? `irq:${vector}:${flags}` : `${frame}:${flags}`;
      routine = this.#tries.routine(key, frame, () => {
        if (frame === 'nmi') machine.handlers?.nmi(flags);
        else if (frame === 'machineCheck') machine.handlers?.machineCheck(flags);
        else machine.handlers?.interrupt(vector, flags);
        return Outcome.retry;
      });
      this.#events.set(id, routine);
    }
    return routine;
  }

  pageFault(code: number, address: number, flags: number, fixup: boolean): Routine {
    return this.#exception(
      `exception:14:${code}:${address}:${flags}:${fixup}`,
      () => this.#machine.handlers?.pageFault(code, address, flags, fixup) ?? 0,
    );
  }

  /** Any other exception: #GP has its handler, and #SS goes there too. */
  fault(vector: number, code: number, address: number, flags: number, fixup: boolean): Routine {
    return this.#exception(
      `exception:${vector}:${code}:${flags}:${fixup}:${address}`,
      () => this.#machine.handlers?.generalProtection(code, flags, fixup, address) ?? 0,
    );
  }

  #exception(key: string, run: () => number): Routine {
    let routine = this.#exceptions.get(key);
    if (routine === undefined) {
      routine = this.#tries.routine(key, 'exception', run);
      this.#exceptions.set(key, routine);
    }
    return routine;
  }
}

function frameOf(vector: number): FrameKind {
  if (vector === NMI) return 'nmi';
  return vector === MACHINE_CHECK ? 'machineCheck' : 'irq';
}
