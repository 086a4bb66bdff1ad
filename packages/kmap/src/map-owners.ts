// SPDX-License-Identifier: MIT
// Who has which page mapped: an array of outstanding maps in each task, as reviewers asked for.

import { type Kernel, PAGE_OFFSET, type Tasks } from '@pkslab/kernel';
import { type Column, type FieldDefinition, PAGE_SIZE } from '@pkslab/x86-cpu';

/** Outstanding maps that a task is remembered with; deeper ones are not named in reports. */
const MAPS_PER_TASK = 16;

const depthField: FieldDefinition = {
  name: 'task.kmap_depth',
  type: 'u32',
  initial: 0,
  per: 'task',
};

export class MapOwners {
  private readonly kernel: Kernel;
  private readonly tasks: Tasks;
  private readonly depth: Column;
  /** pfn of each outstanding map. */
  private readonly maps: Column;

  constructor(kernel: Kernel) {
    const { machine } = kernel;
    this.kernel = kernel;
    this.tasks = kernel.tasks;
    this.depth = machine.column(depthField);
    this.maps = machine.column({
      name: 'task.kmap_pfn',
      type: 'address',
      initial: 0,
      per: 'object',
      count: machine.tasks * MAPS_PER_TASK,
    });
    kernel.slots.keyFault.push((_regs, _code, address) => this.#report(address));
  }

  /** Notes a map of the current task. The slot is taken first, so that an NMI's own maps go above it. */
  push(pfn: number): void {
    const current = this.tasks.getCurrent();
    const depth = this.depth.add(current, 1);
    if (depth <= MAPS_PER_TASK) this.maps.set(current * MAPS_PER_TASK + depth - 1, pfn);
  }

  pop(): void {
    this.depth.add(this.tasks.getCurrent(), -1);
  }

  /** A key fault on a page that another task has mapped: says who and who, and leaves the fault refused. */
  #report(address: number): boolean {
    const { tasks, oops } = this.kernel;
    const pfn = Math.floor((address - PAGE_OFFSET) / PAGE_SIZE);
    const owner = this.#ownerOf(pfn);
    if (owner >= 0 && owner !== tasks.current) {
      oops.warn(
        `kmap: address of pfn 0x${pfn.toString(16)}, mapped by ${tasks.nameOf(owner)} (task ${owner}), used by ${tasks.nameOf(tasks.current)} (task ${tasks.current})`,
      );
    }
    return false;
  }

  #ownerOf(pfn: number): number {
    for (let task = 0; task < this.kernel.machine.tasks; task++) {
      const depth = Math.min(this.depth.get(task), MAPS_PER_TASK);
      for (let i = 0; i < depth; i++) {
        if (this.maps.get(task * MAPS_PER_TASK + i) === pfn) return task;
      }
    }
    return -1;
  }
}
