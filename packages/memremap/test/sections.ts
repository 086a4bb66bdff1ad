// SPDX-License-Identifier: MIT
// Sections under an event at every boundary: what must hold of grants, whatever counts them.

import { type BootOptions, RESCHEDULE_VECTOR, type Runner } from '@pkslab/kernel';
import { atEveryBoundary } from '../../../scripts/testing/boundaries.ts';
import { attach, reported, type Stack, withDevice } from './support.ts';

export const irq = (runner: Runner): boolean => runner.interrupt(0x20);
export const nmi = (runner: Runner): boolean => runner.nmi();
const preempt = (runner: Runner): boolean => runner.interrupt(RESCHEDULE_VECTOR);

/** The count of the host's task, or of CPU 0 where CPUs count. */
function countNow({ kernel, access }: Stack): number {
  const index = access.ref.field.per === 'cpu' ? 0 : kernel.runner.hostTask;
  return access.ref.values[index] as number;
}

/** Fires at every boundary of a section; the section, a handler's own, and what remains must be right. */
export function sectionsHold(options: BootOptions, fire: (runner: Runner) => unknown): boolean {
  let right = true;
  const boundaries = atEveryBoundary<Runner>(fire, (source) => {
    const stack = withDevice(options);
    const { kernel, access } = stack;
    const { address } = attach(stack);
    const wrong = kernel.machine.column({
      name: 'wrong',
      type: 'u32',
      initial: 0,
      per: 'global',
    });
    const handler = (): void => {
      if (!kernel.machine.tryStore32(address, 1)) wrong.add(0, 1);
      access.enable();
      if (kernel.machine.tryStore32(address, 2)) wrong.add(0, 1);
      access.disable();
      if (!kernel.machine.tryStore32(address, 3)) wrong.add(0, 1);
    };
    kernel.entry.requestIrq(0x20, handler);
    kernel.entry.registerNmi(handler);
    kernel.runner.attach(source);
    const after = kernel.call(() => {
      access.enable();
      if (kernel.machine.tryStore32(address, 4)) wrong.add(0, 1);
      access.enable();
      access.disable();
      if (kernel.machine.tryStore32(address, 5)) wrong.add(0, 1);
      access.disable();
      return kernel.machine.tryStore32(address, 6);
    });
    kernel.runner.attach(null);
    if (wrong.values[0] !== 0 || !after || countNow(stack) !== 0) right = false;
    if (reported(kernel).length > 0) right = false;
  });
  if (boundaries < 30) throw new Error(`only ${boundaries} boundaries`);
  return right;
}

/** Preempts a task's section at every boundary, with another task that has one of its own, and none before. */
export function tasksHold(options: BootOptions): boolean {
  let right = true;
  atEveryBoundary<Runner>(preempt, (source) => {
    const stack = withDevice(options);
    const { kernel, access } = stack;
    const { address } = attach(stack);
    const wrong = kernel.machine.column({ name: 'w', type: 'u32', initial: 0, per: 'global' });
    kernel.call(() => {
      kernel.spawn('section', () => {
        access.enable();
        if (kernel.machine.tryStore32(address, 1)) wrong.add(0, 1);
        access.disable();
      });
      kernel.spawn('stray', () => {
        if (!kernel.machine.tryStore32(address, 2)) wrong.add(0, 1);
        access.enable();
        if (kernel.machine.tryStore32(address, 3)) wrong.add(0, 1);
        access.disable();
      });
    });
    kernel.runner.attach(source);
    kernel.run();
    kernel.runner.attach(null);
    if (wrong.values[0] !== 0) right = false;
  });
  return right;
}
