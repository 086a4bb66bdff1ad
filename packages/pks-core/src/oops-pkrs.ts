// SPDX-License-Identifier: MIT
// The line `PKRS: 0x%x` of an oops, and when it is printed (D-49).

import type { Kernel, Regs } from '@pkslab/kernel';
import { IA32_PKRS, PF_PK } from '@pkslab/x86-cpu';
import { isPksConfigured } from './pks-config.ts';

/** When an oops prints the rights of the context that faulted. */
export type OopsPkrsChoice = 'never' | 'onKeyFault' | 'onKeyFaultWithPks' | 'whenOn';

/**
 * Fills the slot of oopses.
 *
 * @param shown the word of an entry's state that has the interrupted context's rights; −1 without one
 */
export function hookOops(kernel: Kernel, choice: OopsPkrsChoice, shown: number): void {
  const { machine, slots } = kernel;
  if (choice === 'never' || !isPksConfigured(kernel)) return;
  const { pks } = machine.features;
  if (!pks && choice !== 'onKeyFault') return;
  const line = (regs: Regs): string => {
    // Without PKS there is no register: what the frame has is 0, and looks like all keys open.
    const value = regs.state.words[shown] ?? (pks ? machine.rdmsr(IA32_PKRS) : 0);
    return `PKRS: 0x${value.toString(16)}`;
  };
  // Up to V7 it is a line of show_fault_oops; V8 made it one of __show_regs, next to PKRU's place.
  if (choice === 'whenOn') slots.showRegs.push(line);
  else {
    slots.faultReport.push((regs, errorCode) => ((errorCode & PF_PK) !== 0 ? line(regs) : null));
  }
}
