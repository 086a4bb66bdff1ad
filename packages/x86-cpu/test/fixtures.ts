// SPDX-License-Identifier: MIT
// The package, and a machine that software brought up from RESET with 5-level paging.

import {
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PGE,
  EFER_LME,
  EFER_NXE,
  IA32_EFER,
  Machine,
  type MachineOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

/** The steps by which firmware reaches 64-bit mode with LA57, from RESET. */
export function resetToLongMode5(options: MachineOptions = {}): Machine {
  const machine = new Machine({ memory: 16 * 1024 * 1024, ...options });
  machine.reset(0);
  machine.writeCr(4, CR4_PAE | CR4_PGE | CR4_LA57);
  machine.wrmsr(IA32_EFER, EFER_LME | EFER_NXE);
  machine.writeCr(0, CR0_PG | CR0_PE | CR0_WP);
  return machine;
}
