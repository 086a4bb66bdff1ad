// SPDX-License-Identifier: MIT
// The stack that scenarios run on: as little of everything as the protocol needs.

import { boot, type Kernel, type RevisionRequest } from '@pkslab/kernel';
import { type Kmap, kmap } from '@pkslab/kmap';
import { MemoryType, type Memremap, memremap, PGMAP_PROT_ENABLED } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { CHUNK_SIZE } from '@pkslab/x86-cpu';

/** Where the scenarios' device memory lies. */
const DEVICE_BASE = 0x1_0000_0000;

/** Device memory that keeps nothing: scenarios are about rights. */
const NO_MEDIA = { read(): void {}, write(): void {} };

export interface SmallStack {
  readonly kernel: Kernel;
  readonly memremap: Memremap;
  readonly kmap: Kmap;
  /** First page of the protected device. */
  readonly pfn: number;
  /** Its address in the direct map, and its size in bytes. */
  readonly address: number;
  readonly size: number;
}

/** Boots a kernel with one protected device of 2 MiB attached. */
export function smallStack(request: RevisionRequest, cpus = 1): SmallStack {
  const kernel = boot({
    ...request,
    cpus,
    memory: 4 * CHUNK_SIZE,
    tasks: 12,
    modules: [pksCore, memremap, kmap],
  });
  kernel.machine.memory.addRegion(DEVICE_BASE, CHUNK_SIZE, NO_MEDIA);
  const device = kernel.module(memremap);
  const map = device.pagemaps.memremapPages({
    physical: DEVICE_BASE,
    size: CHUNK_SIZE,
    type: MemoryType.fsDax,
    flags: PGMAP_PROT_ENABLED,
  });
  const pfn = DEVICE_BASE / 4096;
  return {
    kernel,
    memremap: device,
    kmap: kernel.module(kmap),
    pfn,
    address: map.address,
    size: CHUNK_SIZE,
  };
}
