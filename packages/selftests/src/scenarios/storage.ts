// SPDX-License-Identifier: MIT
// Scenarios of the whole stack: dax and the pmem driver, and what happens to the device meanwhile.

import { Fsdax, flatExtents, IovIter, Writecache } from '@pkslab/dax';
import { type Scenario, type Setup, scenario } from '@pkslab/explore';
import { ENODEV, type RevisionRequest } from '@pkslab/kernel';
import { memoryMedia, type PmemDevice } from '@pkslab/pmem';
import { CHUNK_SIZE, PAGE_SIZE } from '@pkslab/x86-cpu';
import { flushedIsDurable } from '../invariants.ts';
import { bootStack, type Stack } from '../stack.ts';
import { legalSetup, NO_EVENTS } from './section.ts';

/** A stack with one pmem device of 2 MiB. */
function storage(request: RevisionRequest, cpus = 1): Stack & { readonly device: PmemDevice } {
  const stack = bootStack({
    ...request,
    cpus,
    memory: 4 * CHUNK_SIZE,
    tasks: 12,
    pmem: [{ media: memoryMedia(CHUNK_SIZE) }],
  });
  return { ...stack, device: stack.devices[0] as PmemDevice };
}

/** Tasks A, B … that use the device by the rules; a call that fails is a WARN. */
function users(
  { kernel, device }: Stack & { readonly device: PmemDevice },
  ...calls: readonly (() => number)[]
): Setup {
  const tasks = calls.map((call, i) =>
    kernel.spawn(String.fromCharCode(65 + i), () => {
      if (call() < 0) kernel.oops.warn('a legal call failed');
    }),
  );
  return legalSetup(kernel, device, tasks);
}

/** Legal: bios to a device of one's own. */
export const pmemWrite: Scenario = scenario({
  name: 'pmem-write',
  title: 'a task writes a sector and flushes, another reads; interrupts and preemption anywhere',
  budget: { ...NO_EVENTS, irq: 1, preempt: 1 },
  setup(request: RevisionRequest) {
    const stack = storage(request);
    const { device } = stack;
    const buffers = [new Uint8Array(8), new Uint8Array(8)] as const;
    return users(
      stack,
      () => device.write(0, buffers[0]) || device.flush(),
      () => device.read(0, buffers[1]),
    );
  },
});

/** What a file system's commit rests on. Legal: a write, and a flush after it. */
export const pmemFlush: Scenario = scenario({
  name: 'pmem-flush',
  title:
    'a task writes a sector and flushes: the store must be on the media when the flush returns',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = storage(request);
    const { kernel, device } = stack;
    const buffer = new Uint8Array(8);
    const setup = users(stack, () => device.write(0, buffer) || device.flush());
    return { ...setup, invariants: [...setup.invariants, flushedIsDurable(kernel, device)] };
  },
});

/** D-25: a user that keeps the address. Legal: dm-writecache claims its memory once and uses it from then on. */
export const writecacheStore: Scenario = scenario({
  name: 'writecache-store',
  title: 'dm-writecache stores to the memory that it has claimed; an interrupt arrives',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = storage(request);
    const { kernel, device } = stack;
    const cache = kernel.call(() => Writecache.claim(kernel, device.dax, 1));
    return users(stack, () => {
      cache.store(0, 7);
      return 0;
    });
  },
});

/** A stray store is a caller's bug, so a WARN is welcome; it must be refused whatever the device is doing. */
export const pmemStray: Scenario = scenario({
  name: 'pmem-stray',
  title: 'a task stores to a pmem device without asking, while another writes to it',
  budget: { ...NO_EVENTS, preempt: 2 },
  setup(request: RevisionRequest) {
    const stack = storage(request);
    const { kernel, device } = stack;
    const buffer = new Uint8Array(8);
    const stray = (): number => {
      kernel.machine.tryStore32(device.address, 0xbad);
      return 0;
    };
    const setup = users(stack, () => device.write(0, buffer), stray);
    return { ...setup, invariants: setup.invariants.filter(({ id }) => id !== 'I16') };
  },
});

/** [PATCH 11/17]: the addresses are used for as long as the lock is held. Legal: mount(2) with dax. */
export const daxSupported: Scenario = scenario({
  name: 'dax-supported',
  title:
    'a file system asks whether a range of the device can be used directly; an interrupt arrives',
  budget: { ...NO_EVENTS, irq: 1 },
  setup(request: RevisionRequest) {
    const stack = storage(request);
    const { dax, device } = stack;
    return users(stack, () =>
      dax.genericFsdaxSupported(device.dax, PAGE_SIZE, 0, device.size) ? 0 : -1,
    );
  },
});

/** D-59: the copy of a DAX write faults and sleeps under dax_read_lock. Legal: write(2) to a file on dax. */
export const daxCopyFaults: Scenario = scenario({
  name: 'dax-copy-faults',
  title: 'the copy of a DAX write faults on user memory and sleeps; another task runs meanwhile',
  budget: { ...NO_EVENTS, irq: 1, pageFault: 1 },
  setup(request: RevisionRequest) {
    const stack = storage(request);
    const { kernel, device } = stack;
    const fs = new Fsdax(kernel);
    const file = flatExtents(device.dax, [{ offset: 0, length: PAGE_SIZE, address: 0 }]);
    const buffers = [new Uint8Array(8), new Uint8Array(8)] as const;
    return users(
      stack,
      () => fs.iomapRw(file, 0, IovIter.user(buffers[0]), true),
      () => fs.iomapRw(file, 64, IovIter.user(buffers[1]), false),
    );
  },
});

/** D-25: dirty lines of a mapped file are written back: CLWB reads. Legal: fsync(2). */
export const daxWriteback: Scenario = scenario({
  name: 'dax-writeback',
  title: 'fsync writes back the lines that a user mapping of a DAX file dirtied',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = storage(request);
    const { kernel, device } = stack;
    const fs = new Fsdax(kernel);
    return users(stack, () => {
      fs.writebackOne(device.dax, device.address, 1);
      return 0;
    });
  },
});

/** Legal: unbinding a device while a task reads it; the read succeeds, or says that the device has gone. */
export const detachUnderIo: Scenario = scenario({
  name: 'detach-under-io',
  title: 'CPU 1 unbinds a pmem device while CPU 0 reads from it',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = storage(request, 2);
    const { device } = stack;
    const buffer = new Uint8Array(8);
    return users(stack, () => unlessGone(device.read(0, buffer)), detach(device));
  },
});

/** What a call returned, or 0 where it came too late for the device. */
function unlessGone(status: number): number {
  return status === -ENODEV ? 0 : status;
}

function detach(device: PmemDevice): () => number {
  return () => {
    device.detach();
    return 0;
  };
}

/** The same with the memory itself in use. Legal: dax_direct_access under dax_read_lock. */
export const detachUnderDax: Scenario = scenario({
  name: 'detach-under-dax',
  title: 'a task holds the address of a dax page while another unbinds the device',
  budget: { ...NO_EVENTS, preempt: 2 },
  setup(request: RevisionRequest) {
    const stack = storage(request);
    const { kernel, device, dax } = stack;
    return users(
      stack,
      () => {
        const id = dax.readLock();
        const found = dax.directAccess(device.dax, 0, 1);
        if (typeof found !== 'number') {
          dax.setReadwrite(device.dax);
          kernel.machine.load32(found.address);
          dax.setNoaccess(device.dax);
        }
        dax.readUnlock(id);
        return 0;
      },
      detach(device),
    );
  },
});
