// SPDX-License-Identifier: MIT
// Programs that map a device-dax: real leaves in the page tables, loads and stores at CPL 3.

import { boot, type Kernel, type MmapRequest } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { FIXED_UP, PTE_D, PTE_RW, PTE_US } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { type DevDax, dax, devDaxProbe } from '../src/index.ts';

const BASE = 0x1_4000_0000;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const ALIGNMENTS = [4096, 2 * MIB, GIB] as const;

interface Rig {
  readonly kernel: Kernel;
  readonly device: DevDax;
}

function probe(kernel: Kernel, alignment: number, size: number, physical = BASE): DevDax {
  return kernel.call(() =>
    devDaxProbe(kernel, { name: 'dax0.0', device: 0, physical, size, alignment }),
  );
}

function rig(alignment: number, size: number = 2 * GIB): Rig {
  const kernel = boot({ cpus: 2, modules: [pksCore, memremap, kmap, dax] });
  addMemory(kernel, BASE, size);
  return { kernel, device: probe(kernel, alignment, size) };
}

function addMemory(kernel: Kernel, base: number, size: number): void {
  const backing = { read: (_at: number, into: Uint8Array) => void into.fill(0), write: () => {} };
  kernel.machine.memory.addRegion(base, size, backing);
}

function mmap({ kernel, device }: Rig, request: Partial<MmapRequest> = {}): number {
  const length = device.size;
  return kernel.call(() => kernel.userMm.mmap({ file: device.file, length, ...request }));
}

/** A load or store at CPL 3: the value, or `FIXED_UP` for a signal that the program handles. */
function userLoad({ kernel }: Rig, address: number): number {
  return kernel.call(() => kernel.userMm.run(() => kernel.machine.tryLoad32(address)));
}

function userStore({ kernel }: Rig, address: number, value: number): boolean {
  return kernel.call(() => !kernel.userMm.run(() => kernel.machine.tryStore32(address, value)));
}

describe.each(ALIGNMENTS)('a program that maps a device-dax of %i-byte pages', (alignment) => {
  const level = ALIGNMENTS.indexOf(alignment) + 1;

  it('has a user leaf of that size after its first access, and none before', () => {
    const it = rig(alignment);
    const address = mmap(it) + alignment;
    expect(address % alignment).toBe(0);
    expect(it.kernel.mm.lookup(address).present).toBe(false);
    expect(userStore(it, address + 8, 7)).toBe(true);
    const walk = it.kernel.mm.lookup(address);
    expect(walk).toMatchObject({ present: true, user: true, writable: true, level, key: 0 });
    expect(walk).toMatchObject({ noExecute: true, frame: BASE + alignment, dirty: true });
    expect(it.kernel.mm.lookup(address - alignment).present).toBe(false);
  });

  it('reads and writes what the kernel reads and writes under dax_read_lock', () => {
    const it = rig(alignment);
    const { kernel, device } = it;
    const address = mmap(it);
    userStore(it, address + 64, 0x1234);
    const core = kernel.module(dax);
    const seen = kernel.call(() => {
      const id = core.readLock();
      const value = kernel.machine.load32(device.pagemap.address + 64);
      kernel.machine.store32(device.pagemap.address + 68, 0x5678);
      core.readUnlock(id);
      return value;
    });
    expect(seen).toBe(0x1234);
    expect(userLoad(it, address + 68)).toBe(0x5678);
  });

  it('has no leaf and no TLB entry left when the device is gone: each CPU gets SIGBUS', () => {
    const it = rig(alignment);
    const { kernel, device } = it;
    const address = mmap(it);
    const onBoth = (value: number): boolean[] => storeOnEachCpu(it, address, value);
    expect(onBoth(1)).toEqual([true, true]);
    kernel.call(() => device.remove());
    expect(kernel.mm.lookup(address).present).toBe(false);
    expect(onBoth(2)).toEqual([false, false]);
    expect(userLoad(it, address)).toBe(FIXED_UP);
    expect(kernel.call(() => kernel.userMm.munmap(address, device.size))).toBe(0);
  });

  it('keeps nothing after munmap: the tables are free again, another size fits at the address', () => {
    const it = rig(alignment);
    const { kernel, device } = it;
    const free = kernel.call(() => kernel.mm.allocPage());
    kernel.call(() => kernel.mm.freePage(free));
    const address = mmap(it);
    userStore(it, address, 1);
    expect(kernel.call(() => kernel.userMm.munmap(address, device.size))).toBe(0);
    expect(userLoad(it, address)).toBe(FIXED_UP);
    expect(kernel.call(() => kernel.mm.allocPage())).toBe(free);
  });
});

/** Stores on CPU 0 and on CPU 1, which keeps what its TLB has. */
function storeOnEachCpu(it: Rig, address: number, value: number): boolean[] {
  const { machine } = it.kernel;
  return machine.cpus.map((cpu) => {
    const before = machine.cpu;
    machine.cpu = cpu;
    const stored = userStore(it, address, value);
    machine.cpu = before;
    return stored;
  });
}

describe('what decides on a user page', () => {
  it('is not PKRS: with the device key closed in it the program stores all the same', () => {
    const it = rig(2 * MIB);
    const address = mmap(it);
    const { kernel, device } = it;
    expect(kernel.machine.registers.pkrs.values[0]).toBe(0x5555_5554);
    expect(kernel.call(() => kernel.machine.tryStore32(device.pagemap.address, 1))).toBe(true);
    expect(userStore(it, address, 1)).toBe(true);
    // Nor for a leaf with the same number of key as the device's.
    const keyed = mmap(it, { key: device.pagemap.pkey });
    expect(userStore(it, keyed, 1)).toBe(true);
  });

  it('is PKRU: access and writes are refused by the key of the area', () => {
    const it = rig(2 * MIB);
    const { kernel } = it;
    const { user } = kernel.module(pksCore);
    kernel.call(() => user.setup());
    const address = mmap(it, { key: 3 });
    const rights = (value: number): number => kernel.call(() => user.setUserPkeyAccess(3, value));
    rights(0);
    expect(userStore(it, address, 5)).toBe(true);
    rights(2);
    expect(userStore(it, address, 6)).toBe(false);
    expect(userLoad(it, address)).toBe(5);
    rights(1);
    expect(userLoad(it, address)).toBe(FIXED_UP);
    const tell = (): unknown =>
      kernel.call(() => kernel.userMm.run(() => kernel.machine.load32(address)));
    expect(tell).toThrow('SIGSEGV (SEGV_PKUERR) at 00002aaaaac00000');
  });

  it('is not PKRU for the kernel: its own protected pages stay open to it', () => {
    const { kernel, device } = rig(2 * MIB);
    const core = kernel.module(dax);
    kernel.call(() => kernel.module(pksCore).user.setup());
    const refused = kernel.call(() => {
      const id = core.readLock();
      const value = kernel.machine.tryStore32(device.pagemap.address, 9);
      core.readUnlock(id);
      return value;
    });
    expect(kernel.machine.registers.pkru.values[0]).toBe(0x5555_5554);
    expect(refused).toBe(false);
  });

  it('lets no program reach the kernel address of the device, whatever its key says', () => {
    const it = rig(2 * MIB);
    const { kernel, device } = it;
    expect(userStore(it, device.pagemap.address, 1)).toBe(false);
    kernel.call(() => kernel.module(memremap).access.enable());
    expect(userStore(it, device.pagemap.address, 1)).toBe(false);
    kernel.call(() => kernel.module(memremap).access.disable());
  });

  it('gives a read-only area leaves without R/W, and a read a clean one', () => {
    const it = rig(4096, 64 * 4096);
    const address = mmap(it, { writable: false });
    expect(userLoad(it, address)).toBe(0);
    const { memory } = it.kernel.machine;
    const walk = it.kernel.mm.lookup(address);
    const leaf = walk.entries[walk.depth - 1] as number;
    const low = memory.chunkAt(leaf).words[(leaf % (2 * MIB)) / 4] as number;
    expect(low & (PTE_RW | PTE_D | PTE_US)).toBe(PTE_US);
    expect(userStore(it, address, 1)).toBe(false);
  });
});

describe('dev_dax_huge_fault', () => {
  it('is SIGBUS beyond the end of the device, and for an offset that no leaf can start at', () => {
    const it = rig(2 * MIB, 4 * MIB);
    const address = mmap(it, { length: 8 * MIB });
    expect(userStore(it, address + 4 * MIB - 4, 1)).toBe(true);
    expect(userStore(it, address + 4 * MIB, 1)).toBe(false);
    const odd = mmap(it, { address: 0x4000_0000, length: 2 * MIB, offset: 4096 });
    expect(userStore(it, odd, 1)).toBe(false);
  });

  it('falls back from what is larger than the alignment, and is SIGBUS for what is smaller', () => {
    const { kernel, device } = rig(2 * MIB);
    const area = {
      ...{ start: GIB, end: 2 * GIB, offset: 0, file: device.file },
      ...{ writable: true, shared: true, key: 0 },
    };
    const fault = (size: number): string =>
      kernel.call(() => device.hugeFault(area, GIB, size, true));
    expect([4096, 2 * MIB, GIB].map(fault)).toEqual(['sigbus', 'nopage', 'fallback']);
  });

  it('does without 1 GiB leaves where the CPU has none', () => {
    const kernel = boot({
      modules: [pksCore, memremap, kmap, dax],
      features: { gigabytePages: false },
    });
    addMemory(kernel, BASE, GIB);
    const it = { kernel, device: probe(kernel, GIB, GIB) };
    expect(userStore(it, mmap(it), 1)).toBe(false);
  });

  it('refuses private and unaligned mappings in the words of check_vma', () => {
    const it = rig(2 * MIB);
    const refused = { address: 0x4000_0000 + 4096, length: 2 * MIB };
    expect(mmap(it, refused)).toBe(-22);
    expect(it.kernel.dmesg.at(-1)).toBe(
      'device_dax dax0.0: host: dax_mmap: fail, unaligned vma (0x40001000 - 0x40201000, 0x1fffff)',
    );
    expect(mmap(it, { shared: false })).toBe(-22);
    expect(it.kernel.dmesg.at(-1)).toContain('dax_mmap: fail, attempted private mapping');
  });

  it('is SIGBUS for a mapping of a device that is gone, even when another took its place', () => {
    const it = rig(4096, 2 * MIB);
    const { kernel, device } = it;
    const stale = mmap(it);
    expect(userStore(it, stale, 1)).toBe(true);
    kernel.call(() => device.remove());
    const next = { kernel, device: probe(kernel, 4096, 2 * MIB) };
    const fresh = mmap(next);
    expect(userStore(next, fresh, 2)).toBe(true);
    expect(userStore(it, stale, 3)).toBe(false);
    // The number of the old one is taken until nobody maps it.
    expect(next.device.device.id).not.toBe(device.device.id);
    kernel.call(() => kernel.userMm.munmap(stale, device.size));
    const third = kernel.call(() => {
      const operations = next.device.device.operations;
      return kernel.module(dax).allocDax({ name: 'dax1.0', operations });
    });
    expect(third.id).toBe(device.device.id);
  });
});

describe('the tests above see it when', () => {
  it('kill_dev_dax leaves the mappings: the store after the detach succeeds', () => {
    const it = rig(4096, 2 * MIB);
    const { kernel, device } = it;
    const address = mmap(it);
    userStore(it, address, 1);
    kernel.userMm.unmapMapping = () => {};
    kernel.call(() => device.remove());
    expect(userStore(it, address, 2)).toBe(true);
  });

  it('no TLB is flushed: the other CPU goes on through its own', () => {
    const it = rig(4096, 2 * MIB);
    const { kernel, device } = it;
    const address = mmap(it);
    storeOnEachCpu(it, address, 1);
    kernel.machine.flushTlb = () => {};
    kernel.call(() => device.remove());
    expect(storeOnEachCpu(it, address, 2)).toContain(true);
  });
});
