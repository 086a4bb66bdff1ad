// SPDX-License-Identifier: MIT
// The machine as start-up code leaves it to the kernel. arch/x86/kernel/head_64.S

import { CR4_LA57, Machine, type MachineOptions } from '@pkslab/x86-cpu';

/**
 * A new machine for a kernel.
 *
 * @param fiveLevels CONFIG_X86_5LEVEL: with 5-level paging, where the CPU has it
 */
export function bootMachine(options: MachineOptions, fiveLevels: boolean): Machine {
  // Linux's NMI entry copes with the IRET of a fault inside an NMI: to the rest, NMIs stay blocked.
  const behaviours = { iretUnblocksNmi: 'marked', ...options.behaviours } as const;
  const machine = new Machine({ ...options, behaviours });
  if (!fiveLevels || !machine.features.la57) return machine;
  // The start-up code sets it before 64-bit mode, where it cannot change; that code is not modelled.
  const { cr4 } = machine.registers;
  for (const { index } of machine.cpus) {
    cr4.poke(index, ((cr4.values[index] as number) | CR4_LA57) >>> 0);
  }
  return machine;
}
