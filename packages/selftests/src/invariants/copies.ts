// SPDX-License-Identifier: MIT
// I1–I4, I8, I11 and I12: the copies of a context's rights agree, and start as INIT.

import { type Invariant, invariant } from '@pkslab/explore';
import { type Kernel, Mark } from '@pkslab/kernel';
import { CR4_PKS } from '@pkslab/x86-cpu';
import { CHANGING, hex, type Rights } from './rights.ts';

/** Both bits of key 0. */
const KEY_0 = 0b11;

export function cacheMatchesRegister(rights: Rights): Invariant {
  return invariant({
    id: 'I1',
    text: 'outside an open update, cache[cpu] == MSR[cpu]',
    looksAt: [rights.columns.msr, rights.columns.cache],
    cells: [rights.cells.msr, rights.cells.cache],
    suspendedIn: CHANGING,
    boundary(view) {
      const msr = rights.msr(view.cpu);
      const cache = rights.cache(view.cpu);
      return cache === msr ? null : `CPU ${view.cpu}: pkrs_cache ${hex(cache)}, MSR ${hex(msr)}`;
    },
  });
}

export function registerMatchesSaved(rights: Rights): Invariant {
  return invariant({
    id: 'I2',
    text: 'in process context, MSR == saved_pkrs of the task',
    looksAt: [rights.columns.msr, rights.columns.saved],
    cells: [rights.cells.msr, rights.cells.saved],
    suspendedIn: CHANGING,
    boundary(view) {
      if (view.frame !== 'task') return null;
      const msr = rights.msr(view.cpu);
      const saved = rights.saved(view.task);
      return saved === msr ? null : `task ${view.task}: saved_pkrs ${hex(saved)}, MSR ${hex(msr)}`;
    },
  });
}

export function handlerStartsClosed(rights: Rights): Invariant {
  return invariant({
    id: 'I3',
    text: 'the body of every handler starts with MSR = INIT',
    looksAt: [rights.columns.msr],
    cells: [rights.cells.msr],
    mark(view, id) {
      if (id !== Mark.handlerBody) return null;
      const msr = rights.msr(view.cpu);
      return msr === rights.init ? null : `a handler (${view.frame}) starts with MSR ${hex(msr)}`;
    },
  });
}

export function handlerLeavesUnchanged(rights: Rights): Invariant {
  return invariant({
    id: 'I4',
    text: 'a handler leaves MSR, saved_pkrs and count of the interrupted context unchanged',
    preserves: [rights.cells.msr, rights.cells.saved, rights.cells.count],
  });
}

export function keyZeroIsOpen(rights: Rights): Invariant {
  return invariant({
    id: 'I8',
    text: 'the pair of key 0 is 00 in every copy at all times',
    looksAt: [rights.columns.msr, rights.columns.cache, rights.columns.saved],
    cells: [rights.cells.msr, rights.cells.cache, rights.cells.saved],
    boundary(view) {
      const { cpu, task } = view;
      const all = rights.msr(cpu) | rights.cache(cpu) | rights.saved(task);
      if ((all & KEY_0) === 0) return null;
      const copies = `MSR ${hex(rights.msr(cpu))}, pkrs_cache ${hex(rights.cache(cpu))}`;
      return `key 0 is restricted: ${copies}, saved_pkrs of task ${task} ${hex(rights.saved(task))}`;
    },
  });
}

export function newTaskStartsClosed(rights: Rights): Invariant {
  return invariant({
    id: 'I11',
    text: 'a new task starts with saved_pkrs = INIT and count 0',
    looksAt: [rights.columns.saved, rights.columns.ref],
    cells: [rights.cells.saved, rights.cells.count],
    mark(view, id) {
      if (id !== Mark.start) return null;
      const saved = rights.saved(view.task);
      const count = rights.count(view) ?? 0;
      if (saved === rights.init && count === 0) return null;
      return `task ${view.task} starts with saved_pkrs ${hex(saved)}, count ${count}`;
    },
  });
}

/** What bring-up left, read once on the kernel as boot gave it; and each task on a CPU that came back. */
export function cpuStartsClosed(kernel: Kernel, rights: Rights): Invariant {
  const { machine } = kernel;
  const { cr4 } = machine.registers;
  const isEnabled = (cpu: number): boolean => ((cr4.values[cpu] as number) & CR4_PKS) !== 0;
  const problems = rights.enabled
    ? machine.cpus.flatMap(({ index }) => {
        const enabled = isEnabled(index);
        const msr = rights.msr(index);
        const cache = rights.cache(index);
        if (enabled && msr === rights.init && cache === rights.init) return [];
        const bit = `CR4.PKS ${enabled ? 1 : 0}`;
        return [
          `CPU ${index} runs its first task with MSR ${hex(msr)}, pkrs_cache ${hex(cache)}, ${bit}`,
        ];
      })
    : [];
  return invariant({
    id: 'I12',
    text: 'a CPU runs its first task with MSR = cache = INIT and CR4.PKS set',
    looksAt: [cr4],
    boundary(view) {
      // A CPU that came back may run the idle task until its set-up is done.
      const isIdle = view.task < machine.cpus.length;
      if (!rights.enabled || isIdle || isEnabled(view.cpu)) return problems[0] ?? null;
      return `CPU ${view.cpu} runs task ${view.task} with CR4.PKS 0`;
    },
  });
}
