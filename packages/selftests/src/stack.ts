// SPDX-License-Identifier: MIT
// The whole stack, from the machine to persistent memory.

import { type Dax, dax } from '@pkslab/dax';
import { type BootOptions, boot, type Kernel, type KernelModule } from '@pkslab/kernel';
import { type Kmap, kmap } from '@pkslab/kmap';
import { type Memremap, memremap } from '@pkslab/memremap';
import { type Pks, pksCore } from '@pkslab/pks-core';
import { type PmemDriver, pmem } from '@pkslab/pmem';

/** Every module of the stack, lowest first: what `boot({ modules })` takes. */
export const stackModules: readonly KernelModule<unknown>[] = Object.freeze([
  pksCore,
  memremap,
  kmap,
  dax,
  pmem,
]);

/** A running stack. */
export interface Stack {
  readonly kernel: Kernel;
  readonly pks: Pks;
  readonly memremap: Memremap;
  readonly kmap: Kmap;
  readonly dax: Dax;
  readonly pmem: PmemDriver;
}

export type StackOptions = Omit<BootOptions, 'modules'>;

/**
 * Boots a kernel with every module of the stack.
 *
 * @throws {KernelError} EINVAL for an unknown revision, repair, sabotage or choice.
 * @example
 * const { kernel } = bootStack({ cpus: 2 });
 * kernel.debugfs.read('x86/pks_keys_allocated'); // => '0: kernel\n1: Device Memory\n'
 */
export function bootStack(options: StackOptions = {}): Stack {
  const kernel = boot({ ...options, modules: stackModules });
  return {
    kernel,
    pks: kernel.module(pksCore),
    memremap: kernel.module(memremap),
    kmap: kernel.module(kmap),
    dax: kernel.module(dax),
    pmem: kernel.module(pmem),
  };
}
