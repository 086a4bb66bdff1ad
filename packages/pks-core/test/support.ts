// SPDX-License-Identifier: MIT
// What tests of this package share.

import { type BootOptions, boot, type Kernel, PAGE_OFFSET } from '@pkslab/kernel';
import { IA32_PKRS } from '@pkslab/x86-cpu';
import { type Pks, pksCore } from '../src/index.ts';

/** An address in the direct map, in RAM that nobody has allocated. */
export const RAM: number = PAGE_OFFSET + 0x100_0000;

export const OPEN_KEY_1 = 0x5555_5550;

/** A booted kernel with pks-core. */
export function withPks(options: BootOptions = {}): Pks & { readonly kernel: Kernel } {
  const kernel = boot({ ...options, modules: [pksCore] });
  return { kernel, ...kernel.module(pksCore) };
}

/** The register of a CPU, read from outside. */
export function pkrsOf(kernel: Kernel, cpu = 0): number {
  return kernel.machine.registers.pkrs.values[cpu] as number;
}

/** The register of the executing CPU, read by the kernel. */
export function readPkrs(kernel: Kernel): number {
  return kernel.machine.rdmsr(IA32_PKRS);
}

/** The lines of dmesg after the boot message. */
export function reported(kernel: Kernel): readonly string[] {
  return kernel.dmesg.slice(1);
}
