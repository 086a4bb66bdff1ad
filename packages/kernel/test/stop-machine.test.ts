// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { booted } from './support.ts';

const quiet = { boundary() {} };

describe('stop_machine', () => {
  it.each([null, quiet])('runs the work while every other CPU stands in an interrupt', (source) => {
    const { kernel, notes } = booted({ cpus: 3 });
    const { machine } = kernel;
    kernel.runner.attach(source);
    kernel.call(() =>
      kernel.stopMachine.run(() => {
        for (const { index } of machine.cpus) {
          notes.add(machine.registers.interruptFlag.values[index] as number);
          notes.add(kernel.preempt.count.column.values[index] as number);
        }
      }),
    );
    expect(notes.all).toEqual([0, 1, 0, 1 << 16, 0, 1 << 16]);
    expect([...machine.registers.interruptFlag.values]).toEqual([1, 1, 1]);
    expect([...kernel.preempt.count.column.values]).toEqual([0, 0, 0]);
  });

  it('works again and again, from any CPU, and beside CPUs that are down', () => {
    const { kernel, notes } = booted({ cpus: 3 });
    kernel.call(() => kernel.hotplug.down(2));
    const work = (cpu: number) => () =>
      kernel.stopMachine.run(() => notes.add(kernel.cpus.own * 10 + cpu));
    kernel.call(() => {
      kernel.spawnCode({ name: 'on 1', cpu: 1, calls: [work(1), work(1)] });
      work(0)();
      work(0)();
    });
    kernel.run();
    expect([...notes.all].sort()).toEqual([0, 0, 11, 11]);
  });

  it('waits for a CPU with interrupts off', () => {
    const { kernel, notes } = booted({ cpus: 2 });
    const { machine } = kernel;
    const flag = machine.column({ name: 'test.flag', type: 'bool', initial: 0, per: 'global' });
    kernel.call(() => {
      kernel.spawnCode({
        name: 'irqs off',
        cpu: 1,
        calls: [
          () => {
            machine.cli();
            flag.set(0, 1);
            for (let i = 0; i < 100; i++) flag.get(0);
            notes.add(1);
            machine.sti();
          },
        ],
      });
      flag.wait(0, 1);
      kernel.stopMachine.run(() => notes.add(2));
    });
    expect(notes.all).toEqual([1, 2]);
  });
});
