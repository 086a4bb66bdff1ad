// SPDX-License-Identifier: MIT
import { CR4_PKS, IA32_PKRS } from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import { atBoundary } from '../../../scripts/testing/boundaries.ts';
import {
  type BootOptions,
  EINVAL,
  ENXIO,
  EPERM,
  type Kernel,
  type KernelModule,
  noChoices,
  type Runner,
} from '../src/index.ts';
import { booted, reported } from './support.ts';

const INIT = 0x5555_5554;

/** setup_pks, as far as these tests look at it. */
const keys: KernelModule<null> = {
  name: 'keys',
  ...noChoices,
  create({ slots, machine }: Kernel) {
    slots.cpuInit.push(() => {
      machine.wrmsr(IA32_PKRS, INIT);
      machine.writeCr(4, machine.readCr(4) | CR4_PKS);
    });
    return null;
  },
};

function pksOn(options: BootOptions): readonly boolean[] {
  const { kernel } = booted({ cpus: 2, modules: [keys], ...options });
  kernel.call(() => kernel.hotplug.down(1));
  kernel.call(() => kernel.hotplug.up(1));
  return [...kernel.machine.registers.cr4.values].map((cr4) => (cr4 & CR4_PKS) !== 0);
}

describe('bring-up', () => {
  it('has CR4.PKS and the register set on a CPU before its first task', () => {
    const { kernel } = booted({ cpus: 2, modules: [keys] });
    const { pkrs, cr4 } = kernel.machine.registers;
    expect([...pkrs.values]).toEqual([INIT, INIT]);
    expect([...cr4.values].map((value) => (value & CR4_PKS) !== 0)).toEqual([true, true]);
    expect(kernel.cpus.online.values[0]).toBe(0b11);
  });
});

describe('cpu_down', () => {
  it('takes a CPU away: nobody runs there, calls to it fail, and it is idle in play_dead', () => {
    const { kernel, notes } = booted({ cpus: 2 });
    expect(kernel.call(() => kernel.hotplug.down(1))).toBe(0);
    expect(kernel.cpus.online.values[0]).toBe(0b01);
    expect(kernel.machine.registers.interruptFlag.values[1]).toBe(0);
    expect(kernel.call(() => kernel.smp.rdmsrOnCpu(1, IA32_PKRS))).toBe(-ENXIO);
    kernel.call(() => {
      kernel.spawn('a', () => notes.add(kernel.cpus.own));
      kernel.spawn('b', () => notes.add(kernel.cpus.own));
    });
    kernel.run();
    expect(notes.all).toEqual([0, 0]);
  });

  it('lets a task that runs there go on elsewhere, also one that was bound to it', () => {
    const { kernel, notes } = booted({ cpus: 2 });
    const { machine } = kernel;
    const started = machine.column({ name: 's', type: 'bool', initial: 0, per: 'global' });
    const body = (): void => {
      started.set(0, 1);
      for (let i = 0; i < 300; i++) started.get(0);
      notes.add(kernel.cpus.own);
    };
    const task = kernel.call(() => kernel.spawnCode({ name: 'bound', cpu: 1, calls: [body] }));
    kernel.call(() => started.wait(0, 1));
    kernel.call(() => kernel.hotplug.down(1));
    kernel.run();
    expect(notes.all).toEqual([0]);
    expect(reported(kernel)).toEqual([`process ${task} (bound) no longer affine to cpu1`]);
  });

  it('refuses the boot CPU and one that does not exist; twice is no error', () => {
    const { kernel } = booted({ cpus: 2 });
    expect(kernel.call(() => kernel.hotplug.down(0))).toBe(-EPERM);
    expect(kernel.call(() => kernel.hotplug.down(4))).toBe(-EINVAL);
    expect(kernel.call(() => kernel.hotplug.up(4))).toBe(-EINVAL);
    kernel.call(() => kernel.hotplug.down(1));
    expect(kernel.call(() => kernel.hotplug.down(1))).toBe(0);
  });

  it('and a call to the CPU: the call is answered or refused, wherever the two meet', () => {
    const outcomes = new Set<string>();
    for (let n = 1; n <= 40; n++) {
      for (const steps of [10, 20, 30, 40]) {
        const { kernel, notes } = booted({ cpus: 3 });
        const fn = kernel.smp.register(() => notes.add(1));
        const call = (): void => notes.add(kernel.smp.call(1, fn));
        kernel.call(() => kernel.spawnCode({ name: 'call', cpu: 2, calls: [call] }));
        kernel.runner.attach(atBoundary<Runner>(n, (runner) => runner.runOther(2, steps)));
        expect(kernel.call(() => kernel.hotplug.down(1))).toBe(0);
        kernel.runner.attach(null);
        kernel.run();
        outcomes.add(notes.all.join());
      }
    }
    expect([...outcomes].sort()).toEqual([`${-ENXIO}`, '1,0']);
  });
});

describe('cpu_up', () => {
  it('runs the set-up again on a CPU that INIT has put back, before any task', () => {
    const { kernel, notes } = booted({ cpus: 2, modules: [keys] });
    const { registers } = kernel.machine;
    kernel.call(() => kernel.hotplug.down(1));
    kernel.call(() =>
      kernel.spawnCode({
        name: 'w',
        cpu: 1,
        calls: [() => notes.add(kernel.machine.rdmsr(IA32_PKRS))],
      }),
    );
    kernel.call(() => kernel.hotplug.up(1));
    kernel.run();
    expect(notes.all).toEqual([INIT]);
    expect((registers.cr4.values[1] as number) & CR4_PKS).toBe(CR4_PKS);
    expect(registers.cr3.values[1]).toBe(kernel.mm.root);
    expect(registers.interruptFlag.values[1]).toBe(1);
    expect(kernel.call(() => kernel.smp.rdmsrOnCpu(1, IA32_PKRS))).toBe(INIT);
  });

  it('without the set-up leaves the CPU unprotected: cpu-online-without-setup', () => {
    expect(pksOn({})).toEqual([true, true]);
    expect(pksOn({ sabotages: ['cpu-online-without-setup'] })).toEqual([true, false]);
  });

  it('works again and again, with a source attached too', () => {
    const { kernel } = booted({ cpus: 2, modules: [keys] });
    kernel.runner.attach({ boundary() {} });
    for (let i = 0; i < 3; i++) {
      expect(kernel.call(() => kernel.hotplug.down(1))).toBe(0);
      expect(kernel.call(() => kernel.hotplug.up(1))).toBe(0);
    }
    expect(kernel.call(() => kernel.smp.rdmsrOnCpu(1, IA32_PKRS))).toBe(INIT);
  });
});
