// SPDX-License-Identifier: MIT
// A small dax device without a driver's package: memory that is mapped, and the plainest operations over it.

import { type BootOptions, boot, EIO, ERANGE, type Kernel } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { MemoryType, memremap, type Pagemap, PGMAP_PROT_ENABLED } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { PAGE_SIZE } from '@pkslab/x86-cpu';
import { type Dax, type DaxDevice, type DaxOperations, dax } from '../src/index.ts';

const BASE = 0x1_0000_0000;
export const PAGES = 1024;

export interface Rig {
  readonly kernel: Kernel;
  readonly core: Dax;
  readonly device: DaxDevice;
  readonly pagemap: Pagemap;
  /** What reached the media: (offset, bytes). */
  readonly written: [number, number][];
}

export function rig(options: BootOptions = {}, badPage = -1): Rig {
  const kernel = boot({ cpus: 2, modules: [pksCore, memremap, kmap, dax], ...options });
  const written: [number, number][] = [];
  kernel.machine.memory.addRegion(BASE, PAGES * PAGE_SIZE, {
    read: (_offset, into) => void into.fill(0),
    write: (offset, bytes) => void written.push([offset, bytes.length]),
  });
  const pagemap = kernel.call(() =>
    kernel.module(memremap).pagemaps.memremapPages({
      physical: BASE,
      size: PAGES * PAGE_SIZE,
      type: MemoryType.fsDax,
      flags: PGMAP_PROT_ENABLED,
    }),
  );
  const core = kernel.module(dax);
  const operations = plainOperations(kernel, pagemap, badPage);
  const device = kernel.call(() => core.allocDax({ name: 'pmem0', operations }));
  kernel.call(() => core.setPagemap(device, pagemap));
  return { kernel, core, device, pagemap, written };
}

function plainOperations(kernel: Kernel, pagemap: Pagemap, badPage: number): DaxOperations {
  const { machine } = kernel;
  const { address, id } = pagemap;
  const { access, pagemaps } = kernel.module(memremap);
  const flagged = (): boolean => (pagemaps.flags.get(id) & PGMAP_PROT_ENABLED) !== 0;
  return {
    directAccess: (pgoff, nrPages) => {
      if (pgoff < 0 || pgoff >= PAGES) return -ERANGE;
      const pages = Math.min(nrPages, PAGES - pgoff);
      if (badPage >= pgoff && badPage < pgoff + pages) return -EIO;
      return { address: address + pgoff * PAGE_SIZE, pfn: BASE / PAGE_SIZE + pgoff, pages };
    },
    copyFromIter: (_pgoff, to, bytes, iter) => iter.copyFromFlushcache(machine, to, bytes),
    copyToIter: (_pgoff, from, bytes, iter) => iter.copyTo(machine, from, bytes),
    zeroPageRange: (pgoff, nrPages) => {
      machine.fill(address + pgoff * PAGE_SIZE, 0, nrPages * PAGE_SIZE);
      return 0;
    },
    mapProtected: () => flagged(),
    mkReadwrite: () => void access.enable(),
    mkNoaccess: () => void access.disable(),
  };
}

/** Runs a function under dax_read_lock. */
export function locked<T>({ kernel, core }: Rig, work: () => T): T {
  return kernel.call(() => {
    const id = core.readLock();
    const result = work();
    core.readUnlock(id);
    return result;
  });
}

/** A page of RAM of its own. */
export function ramPage(kernel: Kernel): number {
  return kernel.call(() => kernel.mm.allocPage() / PAGE_SIZE);
}
