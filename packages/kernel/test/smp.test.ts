// SPDX-License-Identifier: MIT
import { IA32_EFER, IA32_PKRS } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { ENXIO, type Kernel } from '../src/index.ts';
import { booted, RAM, reported } from './support.ts';

const quiet = { boundary() {} };

/** A function that other CPUs can be asked for, which notes where it ran and with what. */
function noting(kernel: Kernel, add: (value: number) => void): number {
  return kernel.smp.register((info) => {
    add(kernel.cpus.own);
    add(info);
    add(kernel.preempt.count.read());
  });
}

describe('smp_call_function_single', () => {
  it.each([null, quiet])('runs the function on the other CPU in interrupt context', (source) => {
    const { kernel, notes } = booted({ cpus: 3 });
    const fn = noting(kernel, (value) => notes.add(value));
    kernel.runner.attach(source);
    expect(kernel.call(() => kernel.smp.call(2, fn, 77))).toBe(0);
    expect(notes.all).toEqual([2, 77, 1 << 16]);
    expect(kernel.preempt.count.column.values[0]).toBe(0);
  });

  it('runs it at once on the own CPU, with interrupts off', () => {
    const { kernel, notes } = booted({ cpus: 2 });
    const flag = kernel.machine.registers.interruptFlag;
    const fn = kernel.smp.register(() => notes.add(flag.get(0)));
    expect(kernel.call(() => kernel.smp.call(0, fn))).toBe(0);
    expect([...notes.all, flag.values[0]]).toEqual([0, 1]);
  });

  it('waits as long as the other CPU has interrupts off', () => {
    const { kernel, notes } = booted({ cpus: 2 });
    const { machine } = kernel;
    const fn = kernel.smp.register(() => notes.add(-1));
    const flag = machine.column({ name: 'test.flag', type: 'bool', initial: 0, per: 'global' });
    kernel.call(() =>
      kernel.spawnCode({
        name: 'irqs off',
        cpu: 1,
        calls: [
          () => {
            machine.cli();
            flag.set(0, 1);
            for (let i = 0; i < 200; i++) machine.store32(RAM, i);
            notes.add(1);
            machine.sti();
          },
        ],
      }),
    );
    kernel.call(() => flag.wait(0, 1));
    kernel.call(() => kernel.smp.call(1, fn));
    expect(notes.all).toEqual([1, -1]);
  });

  it('to the host CPU is answered while the host waits, and while all run', () => {
    const { kernel, notes } = booted({ cpus: 2 });
    const fn = noting(kernel, (value) => notes.add(value));
    const caller = { name: 'caller', cpu: 1, calls: [() => notes.add(kernel.smp.call(0, fn, 5))] };
    kernel.call(() => kernel.spawnCode(caller));
    kernel.run();
    expect(notes.all).toEqual([0, 5, 1 << 16, 0]);
    const { kernel: second, notes: seen } = booted({ cpus: 2 });
    const other = noting(second, (value) => seen.add(value));
    const done = second.machine.column({ name: 'd', type: 'bool', initial: 0, per: 'global' });
    const code = () => {
      second.smp.call(0, other, 6);
      done.set(0, 1);
    };
    second.call(() => second.spawnCode({ name: 'caller', cpu: 1, calls: [code] }));
    second.call(() => done.wait(0, 1));
    expect(seen.all).toEqual([0, 6, 1 << 16]);
  });

  it('is -ENXIO for a CPU that is not there', () => {
    const { kernel } = booted({ cpus: 2 });
    expect(kernel.call(() => kernel.smp.call(5, 0))).toBe(-ENXIO);
  });

  it('warns where it could wait for ever: interrupts off, or in an interrupt', () => {
    const { kernel, notes } = booted({ cpus: 2 });
    const fn = kernel.smp.register((info) => notes.add(info));
    kernel.call(() => {
      kernel.machine.cli();
      kernel.smp.call(1, fn, 1);
      kernel.machine.sti();
    });
    expect(reported(kernel).slice(0, 4)).toEqual([
      '------------[ cut here ]------------',
      'WARNING: CPU: 0 PID: 2 at smp_call_function_single',
      'CPU: 0 PID: 2 Comm: host',
      'Call Trace:',
    ]);
    kernel.printk.clear();
    kernel.entry.requestIrq(0x20, () => kernel.smp.call(1, fn, 2));
    kernel.call(() => kernel.machine.deliverInterrupt(0x20));
    expect(kernel.dmesg.filter((line) => line.startsWith('WARNING'))).toHaveLength(1);
  });
});

describe('MSRs of other CPUs', () => {
  it('are read and written there', () => {
    const { kernel } = booted({ cpus: 2 });
    expect(kernel.call(() => kernel.smp.wrmsrOnCpu(1, IA32_PKRS, 0x5555_5550))).toBe(0);
    expect(kernel.call(() => kernel.smp.rdmsrOnCpu(1, IA32_PKRS))).toBe(0x5555_5550);
    expect(kernel.call(() => kernel.smp.rdmsrOnCpu(0, IA32_PKRS))).toBe(0);
    expect(kernel.call(() => kernel.smp.rdmsrOnCpu(7, IA32_PKRS))).toBe(-ENXIO);
    // Numbers are 32 bits wide too: IA32_EFER.
    kernel.call(() => kernel.smp.wrmsrOnCpu(1, IA32_EFER, 0xd01));
    expect(kernel.call(() => kernel.smp.rdmsrOnCpu(1, IA32_EFER))).toBe(0xd01);
  });

  it('on_each_cpu comes to all that are online', () => {
    const { kernel, notes } = booted({ cpus: 3 });
    const fn = kernel.smp.register(() => notes.add(kernel.cpus.own));
    kernel.call(() => kernel.hotplug.down(1));
    kernel.call(() => kernel.smp.onEachCpu(fn));
    expect(notes.all).toEqual([0, 2]);
  });
});
