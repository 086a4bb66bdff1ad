// SPDX-License-Identifier: MIT
// CPUs that come up and go down. kernel/cpu.c, arch/x86/kernel/smpboot.c

import type { Machine } from '@pkslab/x86-cpu';
import { CpuState, type CpuStates } from './cpu-state.ts';
import { EINVAL, EPERM } from './errno.ts';
import type { Mutex } from './lock.ts';
import type { Oops } from './oops.ts';
import type { Preempt } from './preempt.ts';
import type { PrintkRing } from './printk.ts';
import type { Rcu } from './rcu.ts';
import type { Scheduler } from './sched.ts';
import type { Slots } from './slots.ts';
import type { Smp } from './smp.ts';
import { TaskState, type Tasks } from './task.ts';
import { RESCHEDULE_VECTOR } from './vectors.ts';

/** Whether a CPU that comes up again runs the set-up code of a CPU. */
export type OnlineSetup = 'yes' | 'no';

/** What hotplug needs of the kernel. */
export interface HotplugParts {
  readonly machine: Machine;
  readonly cpus: CpuStates;
  readonly sched: Scheduler;
  readonly tasks: Tasks;
  readonly preempt: Preempt;
  readonly smp: Smp;
  readonly rcu: Rcu;
  readonly slots: Slots;
  readonly oops: Oops;
  readonly printk: PrintkRing;
  /** Physical address of the kernel's top page table. */
  readonly root: number;
  /** cpu_hotplug_lock */
  readonly lock: Mutex;
  readonly setup: OnlineSetup;
}

/** Takes CPUs down and up; `kernel.hotplug` has it. */
export class Hotplug {
  readonly #parts: HotplugParts;
  readonly #unbind: number;

  constructor(parts: HotplugParts) {
    const { machine, tasks } = parts;
    this.#parts = parts;
    this.#unbind = machine.choosers.length;
    machine.choosers.push({
      alternatives: (cpu) => [this.#lowestBoundTo(cpu)],
      take: (task) => {
        if (task >= 0) tasks.boundTo.poke(task, 0);
      },
    });
  }

  #lowestBoundTo(cpu: number): number {
    const { boundTo, state } = this.#parts.tasks;
    return boundTo.values.findIndex(
      (bound, task) =>
        bound === cpu + 1 &&
        state.values[task] !== TaskState.dead &&
        state.values[task] !== TaskState.unused,
    );
  }

  /** identify_cpu and the rest of a CPU's own set-up at boot: on the boot CPU, then on each of the others. */
  bootCpu(): void {
    const { machine, cpus, slots, root } = this.#parts;
    machine.writeCr(3, root);
    for (const init of slots.cpuInit) init();
    this.#comeOnline(cpus.own);
  }

  #comeOnline(cpu: number): void {
    const { machine, cpus } = this.#parts;
    cpus.online.testAndSetBit(0, cpu);
    cpus.active.testAndSetBit(0, cpu);
    cpus.ownState.write(CpuState.online);
    machine.sti();
  }

  /**
   * cpu_down: the tasks of a CPU leave it, its idle task plays dead; returns when it is gone.
   *
   * Use it in a task. A task that was bound to the CPU may run anywhere then, which the log says. 0, or -EPERM
   * for the boot CPU, which stays, or -EINVAL for a CPU that does not exist.
   *
   * @example
   * const kernel = boot({ cpus: 2 });
   * kernel.call(() => kernel.hotplug.down(1)); // => 0
   * kernel.call(() => kernel.smp.rdmsrOnCpu(1, 0x6e1)); // => -6
   * kernel.call(() => kernel.hotplug.up(1)); // => 0
   */
  down(cpu: number): number {
    const { machine, cpus, sched, lock, oops } = this.#parts;
    oops.mightSleep();
    if (machine.cpus[cpu] === undefined) return -EINVAL;
    if (cpu === 0) return -EPERM;
    lock.lock();
    if (cpus.isOnline(cpu)) {
      cpus.active.testAndClearBit(0, cpu);
      this.#breakAffinity(cpu);
      cpus.state.set(cpu, CpuState.leaving);
      machine.sendIpi(cpu, RESCHEDULE_VECTOR);
      sched.sleepUntil(cpus.state, cpu, CpuState.dead);
    }
    lock.unlock();
    return 0;
  }

  /** select_fallback_rq: what was bound to the CPU may run on any. */
  #breakAffinity(cpu: number): void {
    const { machine, tasks, printk } = this.#parts;
    for (;;) {
      const task = machine.choose(this.#unbind, cpu);
      if (task < 0) return;
      printk.print(`process ${task} (${tasks.nameOf(task)}) no longer affine to cpu${cpu}`);
    }
  }

  /** cpuhp_report_idle_dead and play_dead, in the idle task; goes on as start_secondary when the CPU is started. */
  playDead(): void {
    const { machine, cpus, smp } = this.#parts;
    const cpu = cpus.own;
    cpus.online.testAndClearBit(0, cpu);
    smp.waitForCallers();
    machine.cli();
    cpus.ownState.write(CpuState.dead);
    // HLT with interrupts off: only INIT ends it.
    cpus.state.wait(cpu, CpuState.callout);
    this.#startSecondary(cpu);
  }

  /** start_secondary: on a CPU that INIT and a start-up IPI have started. */
  #startSecondary(cpu: number): void {
    const { preempt, rcu, slots, setup } = this.#parts;
    rcu.cpuStarting();
    preempt.count.write(0);
    preempt.needResched.write(0);
    if (setup === 'yes') for (const init of slots.cpuInit) init();
    this.#comeOnline(cpu);
  }

  /** cpu_up: starts a CPU that is down and returns when it is online. 0, or -EINVAL for one that does not exist. */
  up(cpu: number): number {
    const { machine, cpus, sched, lock, oops, root } = this.#parts;
    oops.mightSleep();
    if (machine.cpus[cpu] === undefined) return -EINVAL;
    lock.lock();
    if (!cpus.isOnline(cpu)) {
      machine.startCpu(cpu, root);
      cpus.state.set(cpu, CpuState.callout);
      sched.sleepUntil(cpus.state, cpu, CpuState.online);
    }
    lock.unlock();
    return 0;
  }
}
