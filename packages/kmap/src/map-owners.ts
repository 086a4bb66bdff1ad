// SPDX-License-Identifier: MIT
// Who has which page mapped: an array of outstanding maps in each task, as reviewers asked for.

import {
  HARDIRQ_OFFSET,
  type Kernel,
  NMI_OFFSET,
  PAGE_OFFSET,
  SOFTIRQ_OFFSET,
  type Tasks,
} from '@pkslab/kernel';
import { type Column, type FieldDefinition, PAGE_SIZE } from '@pkslab/x86-cpu';

/** Outstanding maps that a task is remembered with; deeper ones are not named in reports. */
const MAPS_PER_TASK = 16;

/** Contexts on a task's stack, lowest first: only they themselves use what they map. */
const CONTEXTS = ['', 'a softirq', 'an interrupt handler', 'an NMI handler'] as const;

const depthField: FieldDefinition = {
  name: 'task.kmap_depth',
  type: 'u32',
  initial: 0,
  per: 'task',
};

/** In place of a map that was too deep to be noted; page 0 is RAM. */
const UNKNOWN = 0;

/** What {@link MapOwners.pop} found. */
export const Popped = { last: 0, outOfOrder: 1, notMapped: 2 } as const;
export type Popped = (typeof Popped)[keyof typeof Popped];

/** A noted map is its page times 4, plus the context that made it. */
const pageOf = (map: number): number => Math.floor(map / 4);

export class MapOwners {
  private readonly kernel: Kernel;
  private readonly tasks: Tasks;
  private readonly depth: Column;
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

  /** Notes a map of the running context. The slot is taken first, so that an NMI's own maps go above it. */
  push(pfn: number, context: number): void {
    const current = this.tasks.getCurrent();
    const depth = this.depth.add(current, 1);
    if (depth <= MAPS_PER_TASK) {
      this.maps.set(current * MAPS_PER_TASK + depth - 1, pfn * 4 + context);
    }
  }

  /** Forgets a map of the running context; says what was unusual about it. */
  pop(pfn: number): Popped {
    const current = this.tasks.getCurrent();
    const depth = this.depth.get(current);
    const ordered =
      depth <= MAPS_PER_TASK && pageOf(this.maps.get(current * MAPS_PER_TASK + depth - 1)) === pfn;
    const popped = ordered ? Popped.last : this.#closeGap(current, depth, pfn);
    this.depth.add(current, -1);
    return popped;
  }

  /** Which kind of context runs now. */
  context(): number {
    const count = this.kernel.preempt.count.read();
    if (count >= NMI_OFFSET) return 3;
    if (count >= HARDIRQ_OFFSET) return 2;
    return count >= SOFTIRQ_OFFSET ? 1 : 0;
  }

  /** Takes a map out of the middle, so that those that stay are named as who they are. */
  #closeGap(task: number, depth: number, pfn: number): Popped {
    const first = task * MAPS_PER_TASK;
    const known = Math.min(depth, MAPS_PER_TASK);
    let at = this.#find(first, known, pfn);
    // It may be one that was too deep to be noted; some of those have come up into an UNKNOWN slot since.
    if (at < 0 && depth > MAPS_PER_TASK) return Popped.last;
    if (at < 0) at = this.#find(first, known, UNKNOWN);
    if (at < 0) return Popped.notMapped;
    for (; at < known - 1; at++) this.maps.set(first + at, this.maps.get(first + at + 1));
    if (depth > MAPS_PER_TASK) this.maps.set(first + known - 1, UNKNOWN);
    return Popped.outOfOrder;
  }

  /** The latest of a task's noted maps that is of a page. */
  #find(first: number, known: number, pfn: number): number {
    let at = known - 1;
    while (at >= 0 && pageOf(this.maps.get(first + at)) !== pfn) at--;
    return at;
  }

  /** A key fault on a page that another context has mapped: says who and who, and leaves the fault refused. */
  #report(address: number): boolean {
    const pfn = Math.floor((address - PAGE_OFFSET) / PAGE_SIZE);
    const { current } = this.tasks;
    const user = this.#name(current, this.context());
    const owners = this.#ownersOf(pfn);
    if (owners.length > 0 && !owners.includes(user)) {
      this.kernel.oops.warn(
        `kmap: address of pfn 0x${pfn.toString(16)}, mapped by ${owners[0]}, used by ${user}`,
      );
    }
    return false;
  }

  #ownersOf(pfn: number): readonly string[] {
    const found: string[] = [];
    for (let task = 0; task < this.kernel.machine.tasks; task++) {
      const depth = Math.min(this.depth.get(task), MAPS_PER_TASK);
      for (let i = 0; i < depth; i++) {
        const map = this.maps.get(task * MAPS_PER_TASK + i);
        if (pageOf(map) === pfn) found.push(this.#name(task, map % 4));
      }
    }
    return found;
  }

  #name(task: number, context: number): string {
    const name = `${this.tasks.nameOf(task)} (task ${task})`;
    return context === 0 ? name : `${CONTEXTS[context]} over ${name}`;
  }
}
