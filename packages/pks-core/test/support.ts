// SPDX-License-Identifier: MIT
// What tests of this package share.

import {
  type BootOptions,
  boot,
  type Kernel,
  type KernelModule,
  noChoices,
  PAGE_OFFSET,
} from '@pkslab/kernel';
import { IA32_PKRS } from '@pkslab/x86-cpu';
import { type Pks, pksCore } from '../src/index.ts';

/** An address in the direct map, in RAM that nobody has allocated. */
export const RAM: number = PAGE_OFFSET + 0x100_0000;

export const OPEN_KEY_1 = 0x5555_5550;

/** A driver of another's, as it would be configured: in V7 and V10 there is no code without one. */
export const consumer: KernelModule<null> = {
  name: 'consumer',
  ...noChoices,
  config: [
    {
      name: 'MY_DRIVER',
      default: true,
      selects: ['ARCH_ENABLE_PKS_CONSUMER', 'ARCH_ENABLE_SUPERVISOR_PKEYS'],
      revisions: ['v7', 'v10'],
    },
  ],
  create: () => null,
};

/** A booted kernel with pks-core, and what else `options` has. */
export function withPks(options: BootOptions = {}): Pks & { readonly kernel: Kernel } {
  const kernel = boot({ ...options, modules: [pksCore, ...(options.modules ?? [])] });
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
