// SPDX-License-Identifier: MIT
// Rights over context switches, fork and exec: with switches that are forced, and partners with other values.

import { type Kernel, RESCHEDULE_VECTOR, TIF_WORK_CTXSW } from '@pkslab/kernel';
import { PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE, pksCore } from '@pkslab/pks-core';
import { CR4_PKS } from '@pkslab/x86-cpu';
import type { Bench, SelfTest } from './bench.ts';
import { KeyRig } from './key-rig.ts';

/** How often each task gives up the CPU. */
const ROUNDS = 3;
const NONE = PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE;

interface Partner {
  readonly name: string;
  /** Undefined: never asks for anything. */
  readonly protection?: number;
  readonly readable: boolean;
  readonly writable: boolean;
}

const PARTNERS: readonly Partner[] = [
  { name: 'the writer', protection: 0, readable: true, writable: true },
  { name: 'the reader', protection: PKEY_DISABLE_WRITE, readable: true, writable: false },
  { name: 'the excluded', protection: NONE, readable: false, writable: false },
  { name: 'the stranger', readable: false, writable: false },
];

/** A task that sets its rights once and must have them whenever it runs. */
function partnerTask(rig: KeyRig, partner: Partner): () => void {
  const { name, protection, readable, writable } = partner;
  const { sched } = rig.kernel;
  return () => {
    if (protection !== undefined) rig.update(protection);
    for (let round = 0; round < ROUNDS; round++) {
      rig.check(rig.readable === readable, `${name} ${readable ? 'cannot' : 'can'} read the page`);
      rig.check(rig.writable === writable, `${name} ${writable ? 'cannot' : 'can'} write the page`);
      sched.schedule();
    }
    rig.close();
  };
}

function forcedSwitch(bench: Bench, workFlag: boolean): void {
  const rig = new KeyRig(bench.boot());
  for (const partner of PARTNERS) {
    const task = rig.kernel.spawn(partner.name, partnerTask(rig, partner));
    if (workFlag) rig.kernel.tasks.tif.set(task, TIF_WORK_CTXSW);
  }
  rig.kernel.run();
  bench.problems.push(...rig.problems);
}

/** No access, so no exception: what the register holds is what the switch brought. */
function registersAfterSwitch(bench: Bench): void {
  const rig = new KeyRig(bench.boot());
  const { tasks, sched } = rig.kernel;
  for (const { name, protection } of PARTNERS) {
    const task = rig.kernel.spawn(name, () => {
      if (protection !== undefined) rig.update(protection);
      const value = rig.register;
      for (let round = 0; round < ROUNDS; round++) {
        sched.schedule();
        const now = rig.register;
        rig.check(
          now === value,
          `${name} has PKRS 0x${now.toString(16)}, had ${value.toString(16)}`,
        );
      }
    });
    tasks.tif.set(task, TIF_WORK_CTXSW);
  }
  rig.kernel.run();
  bench.problems.push(...rig.problems);
}

/** Two tasks, preempted between any two operations. */
function preempted(
  bench: Bench,
  tasks: readonly ((rig: KeyRig, name: string) => () => void)[],
): void {
  const rig = new KeyRig(bench.boot());
  const { kernel } = rig;
  bench.atEveryBoundary(
    kernel,
    (runner) => runner.interrupt(RESCHEDULE_VECTOR),
    () => {
      kernel.run();
      bench.problems.push(...rig.problems);
    },
    () => {
      for (const [i, task] of tasks.entries()) {
        const name = 'AB'.charAt(i);
        kernel.spawn(name, task(rig, name));
      }
    },
  );
}

/** Lets the other open its section first. */
function lateSection(rig: KeyRig, name: string): () => void {
  const section = sectionTask(rig, name);
  return () => {
    rig.kernel.sched.schedule();
    section();
  };
}

/** Gives up the CPU inside its section, and has its rights when it is back. */
function holder(rig: KeyRig, name: string): () => void {
  return () => {
    rig.open();
    rig.kernel.sched.schedule();
    rig.check(rig.writable, `${name} cannot write in its section after a switch`);
    rig.close();
  };
}

function sectionTask(rig: KeyRig, name: string): () => void {
  return () => {
    rig.open();
    rig.check(rig.writable, `${name} cannot write in its section`);
    rig.close();
    rig.check(!rig.writable, `${name} can write after its section`);
  };
}

function newTask(bench: Bench): void {
  const rig = new KeyRig(bench.boot());
  rig.kernel.spawn('parent', () => {
    rig.open();
    rig.kernel.spawn('child', () => rig.expectClosed('a new task'));
    rig.kernel.sched.schedule();
    rig.close();
  });
  rig.kernel.run();
  bench.problems.push(...rig.problems);
}

function exec(bench: Bench): void {
  const rig = new KeyRig(bench.boot());
  rig.kernel.spawn('program', () => {
    rig.open();
    rig.kernel.exec('another');
    rig.expectClosed('a new program');
  });
  rig.kernel.run();
  bench.problems.push(...rig.problems);
}

function everyCpu(bench: Bench): void {
  const kernel: Kernel = bench.boot({ cpus: 4 });
  const { cr4, pkrs } = kernel.machine.registers;
  for (const { index } of kernel.machine.cpus) {
    bench.check(((cr4.values[index] as number) & CR4_PKS) !== 0, `CPU ${index}: CR4.PKS is clear`);
    bench.equal(
      `PKRS of CPU ${index}`,
      pkrs.values[index] as number,
      kernel.module(pksCore).pkrs.init.value,
    );
  }
}

export const rightsTests: readonly SelfTest[] = [
  {
    name: 'forced-switch',
    sentence:
      'Four tasks with four different values of one key keep their own over forced switches.',
    origin: 'ours',
    run: (bench) => forcedSwitch(bench, false),
  },
  {
    name: 'forced-switch-tif',
    sentence: 'The same where a TIF flag sends every switch down the slow path.',
    origin: 'ours',
    run: (bench) => forcedSwitch(bench, true),
  },
  {
    name: 'switch-registers-tif',
    sentence:
      'On the slow path each of four tasks finds the register as it left it; nothing faults.',
    origin: 'ours',
    run: registersAfterSwitch,
  },
  {
    name: 'preempted-section',
    sentence: 'Two tasks with sections, one of them preempted at every operation in turn.',
    origin: 'ours',
    run: (bench) => preempted(bench, [sectionTask, sectionTask]),
  },
  {
    name: 'preempted-update',
    sentence:
      'A task is preempted at every operation, by one that has the rights that it is to get.',
    origin: 'ours',
    run: (bench) => preempted(bench, [lateSection, holder]),
  },
  {
    name: 'new-task',
    sentence: 'A task that is created inside a section starts without rights.',
    origin: 'ours',
    run: newTask,
  },
  {
    name: 'exec',
    sentence: 'A program that is started inside a section has no rights.',
    origin: 'ours',
    run: exec,
  },
  {
    name: 'every-cpu',
    sentence: 'After boot each of four CPUs has CR4.PKS set and every key but 0 closed.',
    origin: 'ours',
    run: everyCpu,
  },
];
