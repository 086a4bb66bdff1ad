// SPDX-License-Identifier: MIT
// Scenarios about devices that come and go.

import { type Scenario, scenario } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { MemoryType, type Memremap, type PagemapRequest } from '@pkslab/memremap';
import { type FieldDefinition, PAGE_SIZE } from '@pkslab/x86-cpu';
import { legalSetup, NO_EVENTS, section } from './section.ts';
import { addDevice, bareStack, SECOND_DEVICE_BASE, smallStack } from './small-stack.ts';

const attachedField: FieldDefinition = {
  name: 'scenario.attached',
  type: 'bool',
  initial: 0,
  per: 'global',
};

/** The first device's pages are in use while the second is attached, and then the second's are. */
export const attachSecond: Scenario = scenario({
  name: 'attach-second',
  title:
    'CPU 1 attaches a second protected device while CPU 0 uses the first; then CPU 0 uses both',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    const { kernel, memremap, kmap, pfn } = stack;
    const { machine } = kernel;
    const device = addDevice(kernel, SECOND_DEVICE_BASE);
    const attached = machine.column(attachedField);
    const use = (page: number): void => {
      const { open, close } = section({ kernel, kmap, pfn: page });
      machine.store32(open(), 1);
      close();
    };
    const user = kernel.spawn('user', () => {
      use(pfn);
      if (attached.get(0) === 1) use(SECOND_DEVICE_BASE / PAGE_SIZE);
    });
    const driver = kernel.spawn('driver', () => {
      memremap.pagemaps.memremapPages(device);
      attached.set(0, 1);
    });
    const range = {
      address: stack.address,
      size: SECOND_DEVICE_BASE - pfn * PAGE_SIZE + stack.size,
    };
    return legalSetup(kernel, range, [user, driver]);
  },
});

/** What dax_read_lock and dax_read_unlock do around the memory of any device, protected or not. */
function emptySection(memremap: Memremap): () => void {
  return () => {
    memremap.access.enable();
    memremap.access.disable();
  };
}

/** No device is protected yet: a section costs nothing, and must end as it began. */
export const attachFirst: Scenario = scenario({
  name: 'attach-first',
  title: "CPU 1 attaches the first protected device while CPU 0 uses another's memory",
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const { kernel, memremap, device, range } = bareStack(request, 2);
    const tasks = [
      kernel.spawn('user', emptySection(memremap)),
      kernel.spawn('driver', () => void memremap.pagemaps.memremapPages(device)),
    ];
    return legalSetup(kernel, range, tasks);
  },
});

/** The other way round: what a section opened must be closed, protection or not. */
export const detachLast: Scenario = scenario({
  name: 'detach-last',
  title: "CPU 1 detaches the last protected device while CPU 0 uses another's memory",
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const { kernel, memremap, device, range } = bareStack(request, 2);
    const map = memremap.pagemaps.memremapPages(device);
    const tasks = [
      kernel.spawn('user', emptySection(memremap)),
      kernel.spawn('driver', () => memremap.pagemaps.memunmapPages(map)),
    ];
    return legalSetup(kernel, range, tasks);
  },
});

/** D-15: two devices come at once, and each is used as soon as it is there. Legal: memremap_pages on any CPU. */
export const attachRace: Scenario = scenario({
  name: 'attach-race',
  title: 'two CPUs attach the first two protected devices at the same time, and use their own',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const { kernel, memremap, device, range } = bareStack(request, 2);
    const maps = kernel.module(kmap);
    const second = addDevice(kernel, SECOND_DEVICE_BASE);
    const driver = (own: PagemapRequest) => () => {
      memremap.pagemaps.memremapPages(own);
      const { open, close } = section({ kernel, kmap: maps, pfn: own.physical / PAGE_SIZE });
      kernel.machine.store32(open(), 1);
      close();
    };
    const tasks = [kernel.spawn('A', driver(device)), kernel.spawn('B', driver(second))];
    return legalSetup(kernel, range, tasks);
  },
});

/** D-24: what a device-dax did not get, it must not put. Legal: binding and unbinding a device-dax namespace. */
export const devdaxUnbind: Scenario = scenario({
  name: 'devdax-unbind',
  title: 'a device-dax namespace is bound and unbound',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const { kernel, memremap, device, range } = bareStack(request, 1);
    const driver = kernel.spawn('driver', () => {
      const map = memremap.pagemaps.memremapPages({ ...device, type: MemoryType.devDax });
      memremap.pagemaps.memunmapPages(map);
    });
    return legalSetup(kernel, range, [driver]);
  },
});

/** A page that somebody holds stays mapped. Legal: get_page, a section, put_page; unbinding the device meanwhile. */
export const unmapUnderPage: Scenario = scenario({
  name: 'unmap-under-page',
  title: 'CPU 1 unbinds the device while CPU 0 holds a page of it, and uses it in a section',
  budget: NO_EVENTS,
  setup(request: RevisionRequest) {
    const stack = bareStack(request, 2);
    const { kernel, memremap, device, range } = stack;
    const pfn = device.physical / PAGE_SIZE;
    const { pagemaps, access } = memremap;
    const map = pagemaps.memremapPages(device);
    // Another one keeps the static branch on: what its last user does to sections is detach-last.
    pagemaps.memremapPages(addDevice(kernel, SECOND_DEVICE_BASE));
    const user = kernel.spawn('user', () => {
      if (!pagemaps.getPage(pfn)) return;
      access.enable();
      kernel.machine.load32(range.address);
      access.disable();
      pagemaps.putPage(pfn);
    });
    const driver = kernel.spawn('driver', () => pagemaps.memunmapPages(map));
    return legalSetup(kernel, range, [user, driver]);
  },
});
