// SPDX-License-Identifier: MIT
// The stack that scenarios run on: as little of everything as the protocol needs.

import { boot, type Kernel, type KernelModule, type RevisionRequest } from '@pkslab/kernel';
import { type Kmap, kmap } from '@pkslab/kmap';
import {
  MemoryType,
  type Memremap,
  memremap,
  type PagemapRequest,
  PGMAP_PROT_ENABLED,
} from '@pkslab/memremap';
import { CHUNK_SIZE, PAGE_SIZE } from '@pkslab/x86-cpu';
import type { DeviceRange } from '../invariants.ts';
import { stackModules } from '../stack.ts';

/** Where the scenarios' device memory lies. */
const DEVICE_BASE = 0x1_0000_0000;
/** And a second device's, in the next memory section. */
export const SECOND_DEVICE_BASE = 0x1_0800_0000;

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

export interface BareStack {
  readonly kernel: Kernel;
  readonly memremap: Memremap;
  /** The request that attaches the device, and the addresses that it will have. */
  readonly device: PagemapRequest;
  readonly range: DeviceRange;
}

/** Boots a kernel with one protected device of 2 MiB attached. */
export function smallStack(
  request: RevisionRequest,
  cpus = 1,
  more: readonly KernelModule<unknown>[] = [],
): SmallStack {
  const { kernel, memremap: devices, device, range } = bareStack(request, cpus, more);
  devices.pagemaps.memremapPages(device);
  const pfn = DEVICE_BASE / PAGE_SIZE;
  return { kernel, memremap: devices, kmap: kernel.module(kmap), pfn, ...range };
}

/** A kernel with a device of 2 MiB that nobody has attached yet. */
export function bareStack(
  request: RevisionRequest,
  cpus: number,
  more: readonly KernelModule<unknown>[] = [],
): BareStack {
  const kernel = boot({
    ...request,
    cpus,
    memory: 4 * CHUNK_SIZE,
    tasks: 12,
    // Some of them rest here; but then every repair, sabotage and choice is known in every scenario.
    modules: [...stackModules, ...more],
  });
  const device = addDevice(kernel, DEVICE_BASE);
  const range = { address: kernel.mm.directAddress(DEVICE_BASE), size: CHUNK_SIZE };
  return { kernel, memremap: kernel.module(memremap), device, range };
}

/** Puts a device of 2 MiB into the machine: the request that attaches it, protected. */
export function addDevice(kernel: Kernel, physical: number): PagemapRequest {
  kernel.machine.memory.addRegion(physical, CHUNK_SIZE, NO_MEDIA);
  return { physical, size: CHUNK_SIZE, type: MemoryType.fsDax, flags: PGMAP_PROT_ENABLED };
}
