// SPDX-License-Identifier: MIT
// What tests of this package share.

import { type BootOptions, boot, type Kernel } from '@pkslab/kernel';
import { MemoryType, type Memremap, memremap, PGMAP_PROT_ENABLED } from '@pkslab/memremap';
import { type Pks, pksCore } from '@pkslab/pks-core';
import { Op } from '@pkslab/x86-cpu';
import { type Kmap, kmap } from '../src/index.ts';

/** Where the device's memory lies; its first page is `PFN`. */
const DEVICE = 0x1_0000_0000;
export const PFN: number = DEVICE / 4096;
/** A page of RAM that nobody has allocated. */
export const RAM_PFN = 0x1000;

export interface Stack extends Memremap, Pks {
  readonly kernel: Kernel;
  readonly kmap: Kmap;
}

/** A booted kernel with 4 MiB of protected device memory attached. */
export function withDevice(options: BootOptions = {}): Stack {
  const kernel = boot({ ...options, modules: [pksCore, memremap, kmap] });
  const size = 4 * 2 ** 20;
  kernel.machine.memory.addRegion(DEVICE, size, { read() {}, write() {} });
  const stack = {
    kernel,
    ...kernel.module(pksCore),
    ...kernel.module(memremap),
    kmap: kernel.module(kmap),
  };
  const request = { physical: DEVICE, size, type: MemoryType.fsDax, flags: PGMAP_PROT_ENABLED };
  kernel.call(() => stack.pagemaps.memremapPages(request));
  return stack;
}

/** The operations of a call: names of cells, and of instructions that are none of a cell. */
export function operationsOf(kernel: Kernel, call: () => unknown): readonly string[] {
  const names = Object.fromEntries(Object.entries(Op).map(([name, op]) => [op, name]));
  const ofCell = new Set<number>([Op.get, Op.set, Op.add, Op.exchange, Op.compareExchange]);
  for (const op of [Op.thisCpuGet, Op.thisCpuSet, Op.thisCpuAdd]) ofCell.add(op);
  const seen: string[] = [];
  kernel.runner.attach({
    boundary(_runner, kind, column) {
      const cell = ofCell.has(kind) ? kernel.machine.columns[column]?.field.name : undefined;
      seen.push(cell ?? names[kind] ?? `${kind}`);
    },
  });
  kernel.call(call);
  kernel.runner.attach(null);
  return seen;
}

/** The lines of dmesg after the boot message. */
export function reported(kernel: Kernel): readonly string[] {
  return kernel.dmesg.slice(1);
}
