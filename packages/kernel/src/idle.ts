// SPDX-License-Identifier: MIT
// What a CPU does with nothing to do. kernel/sched/idle.c

import { type Machine, Op } from '@pkslab/x86-cpu';
import { CpuState, type CpuStates } from './cpu-state.ts';
import type { Hotplug } from './hotplug.ts';
import type { Rcu } from './rcu.ts';
import type { Scheduler } from './sched.ts';

/** What the idle loop needs of the kernel. */
export interface IdleParts {
  readonly machine: Machine;
  readonly cpus: CpuStates;
  readonly rcu: Rcu;
  readonly sched: Scheduler;
  readonly hotplug: Hotplug;
}

/** do_idle: one turn of the loop. RCU does not watch a CPU that halts. */
export function doIdle({ machine, cpus, rcu, sched, hotplug }: IdleParts): void {
  // The boot CPU stays, so the only CPU need not look.
  if (machine.cpus.length > 1 && cpus.ownState.read() === CpuState.leaving) hotplug.playDead();
  rcu.idleEnter();
  machine.operate(Op.halt, 0, 0, 0, 0);
  rcu.idleExit();
  sched.schedule();
}
