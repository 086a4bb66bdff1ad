// SPDX-License-Identifier: MIT
// Scenarios on two CPUs.

import { type Budget, type Scenario, scenario } from '@pkslab/explore';
import type { RevisionRequest } from '@pkslab/kernel';
import type { Memremap } from '@pkslab/memremap';
import { type FieldDefinition, PAGE_SIZE } from '@pkslab/x86-cpu';
import { legalCalls, pksInvariants } from '../invariants.ts';
import { addDevice, bareStack, SECOND_DEVICE_BASE, smallStack } from './small-stack.ts';

const NONE: Budget = { irq: 0, nmi: 0, preempt: 0, pageFault: 0 };

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
  budget: NONE,
  setup(request: RevisionRequest) {
    const stack = smallStack(request, 2);
    const { kernel, memremap, kmap, pfn } = stack;
    const { machine } = kernel;
    const device = addDevice(kernel, SECOND_DEVICE_BASE);
    const attached = machine.column(attachedField);
    const use = (page: number): void => {
      const address = kmap.kmap(page);
      machine.store32(address, 1);
      kmap.kunmap(page);
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
    const invariants = [...pksInvariants(kernel, range), legalCalls()];
    return { kernel, tasks: [user, driver], invariants };
  },
});

/** What dax_read_lock and dax_read_unlock do around the memory of any device, protected or not. */
function section(memremap: Memremap): () => void {
  return () => {
    memremap.access.enable();
    memremap.access.disable();
  };
}

/** No device is protected yet: a section costs nothing, and must end as it began. */
export const attachFirst: Scenario = scenario({
  name: 'attach-first',
  title: "CPU 1 attaches the first protected device while CPU 0 uses another's memory",
  budget: NONE,
  setup(request: RevisionRequest) {
    const { kernel, memremap, device, range } = bareStack(request, 2);
    const tasks = [
      kernel.spawn('user', section(memremap)),
      kernel.spawn('driver', () => void memremap.pagemaps.memremapPages(device)),
    ];
    return { kernel, tasks, invariants: [...pksInvariants(kernel, range), legalCalls()] };
  },
});

/** The other way round: what a section opened must be closed, protection or not. */
export const detachLast: Scenario = scenario({
  name: 'detach-last',
  title: "CPU 1 detaches the last protected device while CPU 0 uses another's memory",
  budget: NONE,
  setup(request: RevisionRequest) {
    const { kernel, memremap, device, range } = bareStack(request, 2);
    const map = memremap.pagemaps.memremapPages(device);
    const tasks = [
      kernel.spawn('user', section(memremap)),
      kernel.spawn('driver', () => memremap.pagemaps.memunmapPages(map)),
    ];
    return { kernel, tasks, invariants: [...pksInvariants(kernel, range), legalCalls()] };
  },
});
