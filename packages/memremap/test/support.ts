// SPDX-License-Identifier: MIT
// What tests of this package share.

import { type BootOptions, boot, type Kernel, PAGE_OFFSET } from '@pkslab/kernel';
import { type Pks, pksCore } from '@pkslab/pks-core';
import {
  MemoryType,
  type Memremap,
  memremap,
  type Pagemap,
  PGMAP_PROT_ENABLED,
} from '../src/index.ts';

export const MIB: number = 2 ** 20;
/** Where the device's memory lies. */
export const DEVICE = 0x1_0000_0000;
/** An address in the direct map, in RAM that nobody has allocated. */
export const RAM: number = PAGE_OFFSET + 0x100_0000;

export interface Stack extends Memremap, Pks {
  readonly kernel: Kernel;
}

/** A booted kernel with a device of 512 MiB that is not mapped yet. */
export function withDevice(options: BootOptions = {}): Stack {
  const kernel = boot({ ...options, modules: [pksCore, memremap] });
  kernel.machine.memory.addRegion(DEVICE, 512 * MIB, { read() {}, write() {} });
  return { kernel, ...kernel.module(pksCore), ...kernel.module(memremap) };
}

/** memremap_pages of the device, protected unless `flags` says otherwise. */
export function attach(stack: Stack, size: number = 4 * MIB, flags = PGMAP_PROT_ENABLED): Pagemap {
  const request = { physical: DEVICE, size, type: MemoryType.fsDax, flags };
  return stack.kernel.call(() => stack.pagemaps.memremapPages(request));
}

/** Whether a store is refused now, in the host's task. */
export function refused(stack: Stack, address: number): boolean {
  return stack.kernel.call(() => stack.kernel.machine.tryStore32(address, 1));
}

/** The lines of dmesg after the boot message. */
export function reported(kernel: Kernel): readonly string[] {
  return kernel.dmesg.slice(1);
}
