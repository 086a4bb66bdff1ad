// SPDX-License-Identifier: MIT
import type { FieldDefinition } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { atEveryBoundary } from '../../../scripts/testing/boundaries.ts';
import { ENOMEM, KernelError, type Runner, TaskState } from '../src/index.ts';
import { booted } from './support.ts';

const copied: FieldDefinition = {
  name: 'test.copied',
  type: 'u32',
  initial: 5,
  per: 'task',
  fork: 'copy',
};
const reset: FieldDefinition = { name: 'test.reset', type: 'u32', initial: 9, per: 'task' };

describe('spawn', () => {
  it('copies or resets each field of the parent as its owner declared', () => {
    const { kernel } = booted();
    const copy = kernel.machine.column(copied);
    const fresh = kernel.machine.column(reset);
    const child = kernel.call(() => {
      copy.set(kernel.tasks.current, 77);
      fresh.set(kernel.tasks.current, 77);
      return kernel.spawn('child', () => {});
    });
    expect([copy.values[child], fresh.values[child]]).toEqual([77, 9]);
  });

  it('calls the fork slots with parent and child', () => {
    const { kernel } = booted();
    const seen: number[][] = [];
    kernel.slots.fork.push((parent, child) => seen.push([parent, child]));
    const ids = kernel.call(() => [kernel.tasks.current, kernel.spawn('child', () => {})]);
    expect(seen).toEqual([ids]);
  });

  it('takes the lowest free slot, that of a dead task included', () => {
    const { kernel } = booted();
    const [one, two] = kernel.call(() => [
      kernel.spawn('one', () => {}),
      kernel.spawn('two', () => {}),
    ]) as [number, number];
    expect(two).toBe(one + 1);
    kernel.run();
    expect(kernel.tasks.state.values[one]).toBe(TaskState.dead);
    expect(kernel.call(() => kernel.spawn('three', () => {}))).toBe(one);
  });

  it('fails with ENOMEM when every slot is taken, and says what to do', () => {
    const { kernel } = booted({ tasks: 4 });
    kernel.call(() => {
      kernel.spawn('one', () => {});
      kernel.spawn('two', () => {});
    });
    const failed = () => kernel.call(() => kernel.spawn('three', () => {}));
    expect(failed).toThrow(KernelError);
    expect(failed).toThrow(/no free task of 4: boot with more/);
    try {
      failed();
    } catch (error) {
      expect((error as KernelError).errno).toBe(ENOMEM);
    }
  });

  it('on two CPUs at once loses neither task, wherever they meet', () => {
    const count = atEveryBoundary<Runner>(
      (runner) => runner.runOther(1, 200),
      (source) => {
        const { kernel, notes } = booted({ cpus: 2 });
        // The spawner waits until the source lets CPU 1 run it.
        kernel.call(() =>
          kernel.spawn('spawner', () => {
            notes.add(kernel.spawn('by 1', () => notes.add(-1)));
          }),
        );
        kernel.runner.attach(source);
        kernel.call(() => notes.add(kernel.spawn('by 0', () => notes.add(-2))));
        kernel.runner.attach(null);
        kernel.run();
        expect(notes.all.filter((id) => id < 0).sort()).toEqual([-1, -2]);
      },
    );
    expect(count).toBeGreaterThan(10);
  });
});

describe('names', () => {
  it('a task that never was has no code and a plain name', () => {
    const { kernel } = booted();
    expect(kernel.tasks.nameOf(40)).toBe('task 40');
    expect(() => kernel.tasks.code(40)).toThrow(RangeError);
  });
});
