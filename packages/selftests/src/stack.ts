// SPDX-License-Identifier: MIT
// The whole stack, from the machine to persistent memory.

import { type Dax, dax } from '@pkslab/dax';
import {
  type BootOptions,
  boot,
  type ChoiceSlice,
  type Kernel,
  type KernelModule,
  kernelChoices,
} from '@pkslab/kernel';
import { type Kmap, kmap } from '@pkslab/kmap';
import { type Memremap, memremap } from '@pkslab/memremap';
import { type Pks, pksCore } from '@pkslab/pks-core';
import { type AttachRequest, type PmemDevice, type PmemDriver, pmem } from '@pkslab/pmem';

/** Every module of the stack, lowest first: what `boot({ modules })` takes. */
export const stackModules: readonly KernelModule<unknown>[] = Object.freeze([
  pksCore,
  memremap,
  kmap,
  dax,
  pmem,
]);

/** Every design choice there is below the test programme: the kernel's and those of the stack. */
export const stackSlices: readonly ChoiceSlice[] = Object.freeze([kernelChoices, ...stackModules]);

/** A running stack. */
export interface Stack {
  readonly kernel: Kernel;
  readonly pks: Pks;
  readonly memremap: Memremap;
  readonly kmap: Kmap;
  readonly dax: Dax;
  readonly pmem: PmemDriver;
  /** The devices attached at boot, in the order in which they were asked for. */
  readonly devices: readonly PmemDevice[];
}

export interface StackOptions extends Omit<BootOptions, 'modules'> {
  /** Devices to attach. */
  readonly pmem?: readonly AttachRequest[];
}

/**
 * Boots a kernel with every module of the stack.
 *
 * @throws {KernelError} EINVAL for an unknown revision, repair, sabotage or choice.
 * @example
 * const { kernel, devices } = bootStack({ cpus: 2, pmem: [{ media: memoryMedia(2 ** 24) }] });
 * devices[0].pagemap.pkey; // => 1
 */
export function bootStack(options: StackOptions = {}): Stack {
  const kernel = boot({ ...options, modules: stackModules });
  const driver = kernel.module(pmem);
  const devices = (options.pmem ?? []).map((request) =>
    kernel.call(() => driver.attachDisk(request)),
  );
  return {
    kernel,
    pks: kernel.module(pksCore),
    memremap: kernel.module(memremap),
    kmap: kernel.module(kmap),
    dax: kernel.module(dax),
    pmem: driver,
    devices,
  };
}
