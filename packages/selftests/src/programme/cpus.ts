// SPDX-License-Identifier: MIT
// CPUs that come and go, entries out of the idle loop, and the exit that only a Xen guest has.

import { HYPERVISOR_CALLBACK_VECTOR } from '@pkslab/kernel';
import type { Bench, SelfTest } from './bench.ts';
import { KeyRig } from './key-rig.ts';

/** A CPU goes down and comes up again; its first task has no rights that nobody gave it. */
function cpuBackOnline(bench: Bench): void {
  const rig = new KeyRig(bench.boot({ cpus: 2 }));
  const { kernel } = rig;
  bench.equal(
    'cpu_down',
    kernel.call(() => kernel.hotplug.down(1)),
    0,
  );
  bench.equal(
    'cpu_up',
    kernel.call(() => kernel.hotplug.up(1)),
    0,
  );
  const task = (): void => rig.expectClosed('the first task of the CPU');
  kernel.call(() => kernel.spawnCode({ name: 'first', cpu: 1, calls: [task] }));
  kernel.run();
  bench.problems.push(...rig.problems);
}

/** What an entry saves, it saves while RCU watches the CPU, also where it interrupts a halt. */
function idleEntry(bench: Bench): void {
  const kernel = bench.boot({ cpus: 2 });
  const { values } = kernel.rcu.nesting.column;
  const watched = (): void =>
    bench.check(values[kernel.machine.cpu.index] !== 0, 'an entry saves while RCU does not watch');
  kernel.slots.entrySave.push(watched);
  const nothing = kernel.smp.register(() => {});
  // The first call may come before the CPU halts.
  for (let i = 0; i < 2; i++) kernel.call(() => kernel.smp.call(1, nothing));
}

/** An upcall in a preemptible hypercall leaves by an exit of its own; the section goes on. */
function xenUpcall(bench: Bench): void {
  const rig = new KeyRig(bench.boot());
  const { entry, machine } = rig.kernel;
  rig.kernel.call(() => {
    rig.open();
    entry.preemptibleHypercall.write(1);
    machine.deliverInterrupt(HYPERVISOR_CALLBACK_VECTOR);
    entry.preemptibleHypercall.write(0);
    rig.check(rig.writable, 'the task cannot write after an upcall in a hypercall');
    rig.close();
  });
  bench.problems.push(...rig.problems);
}

export const cpuTests: readonly SelfTest[] = [
  {
    name: 'cpu-back-online',
    sentence: 'A CPU goes down and comes up again; its first task finds every key closed.',
    origin: 'ours',
    run: cpuBackOnline,
  },
  {
    name: 'idle-entry-watched',
    sentence: 'An interrupt out of the idle loop saves rights while RCU watches.',
    origin: 'ours',
    run: idleEntry,
  },
  {
    name: 'xen-upcall',
    sentence: 'A Xen upcall in a hypercall leaves the section of the task as it was.',
    origin: 'ours',
    run: xenUpcall,
  },
];
