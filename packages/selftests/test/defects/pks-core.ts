// SPDX-License-Identifier: MIT
// Reported defects of pks-core that one directed run shows: which revisions had each, and what to look at.

import { type BootOptions, boot, type Kernel, type RevisionName } from '@pkslab/kernel';
import {
  keyOfAddress,
  PKEY_DISABLE_ACCESS,
  PKEY_READ_WRITE,
  type Pks,
  pkrPair,
  pksCore,
  pksTest,
} from '@pkslab/pks-core';
import { PF_PK } from '@pkslab/x86-cpu';

/** One defect, as a directed check. */
export interface DirectedDefect {
  readonly id: string;
  readonly title: string;
  /** The revisions that had it. */
  readonly had: readonly RevisionName[];
  /** Whether a kernel shows it. */
  shows(booted: (options?: BootOptions) => Booted): boolean;
}

export interface Booted {
  readonly kernel: Kernel;
  readonly pks: Pks;
  readonly key: number;
  /** PKRS of each CPU when boot was done, before anything ran. */
  readonly atBoot: readonly number[];
}

/** Boots a revision with pks-core and its test programme, whose key the check may use. */
export function bootDirected(options: BootOptions): Booted {
  const kernel = boot({ cpus: 2, tasks: 16, ...options, modules: [pksCore, pksTest] });
  const pks = kernel.module(pksCore);
  const atBoot = [...kernel.machine.registers.pkrs.values];
  const key = kernel.call(() => pks.keys.forConsumer('defect', 'test'));
  return { kernel, pks, key, atBoot };
}

const ALL_POSTED: readonly RevisionName[] = ['rfc-v2', 'rfc-v3', 'v7', 'v10'];

const registerOf = ({ kernel }: Booted, cpu: number): number =>
  kernel.machine.registers.pkrs.values[cpu] as number;

export const pksCoreDefects: readonly DirectedDefect[] = [
  {
    id: 'D-12',
    title: 'a global revoke leaves the preemption count below zero',
    had: ['rfc-v3'],
    shows(booted) {
      const { kernel, pks, key } = booted();
      kernel.call(() => pks.pkrs.changeRightsGlobal(key, PKEY_READ_WRITE));
      kernel.call(() => pks.pkrs.changeRightsGlobal(key, PKEY_DISABLE_ACCESS));
      return kernel.preempt.count.column.values[0] !== 0;
    },
  },
  {
    id: 'D-17',
    title: 'the boot CPU is left fully open',
    had: ['v7'],
    shows: (booted) => booted().atBoot[0] === 0,
  },
  {
    id: 'D-18',
    title: 'the first write is elided where the cache has the value already',
    had: ['rfc-v3', 'v7'],
    shows(booted) {
      const it = booted();
      const { kernel, pks } = it;
      // A CPU that comes back from a reset: its register is 0, its per-CPU variables are as they were.
      kernel.call(() => pks.pkrs.cache.write(pks.pkrs.init.value));
      kernel.machine.registers.pkrs.poke(0, 0);
      kernel.call(() => pks.pkrs.setup());
      return registerOf(it, 0) === 0;
    },
  },
  {
    id: 'D-33',
    title: 'a key is given back while a mapping carries it',
    had: ['rfc-v2', 'rfc-v3'],
    shows(booted) {
      const { kernel, pks, key } = booted();
      if (pks.keys.isStatic) return false;
      return kernel.call(() => {
        const page = kernel.mm.vmalloc(4096, { key, writable: true });
        pks.keys.free(key);
        return !pks.keys.isAllocated(key) && keyOfAddress(kernel, page) === key;
      });
    },
  },
  {
    id: 'D-45',
    title: 'a key can be opened in every thread, and never be closed again',
    had: ['v7'],
    shows(booted) {
      const { kernel, pks, key } = booted();
      kernel.call(() => pks.abandonProtections(key));
      const page = kernel.call(() => kernel.mm.vmalloc(4096, { key, writable: true }));
      return !kernel.call(() => kernel.machine.tryStore32(page, 1));
    },
  },
  {
    id: 'D-46',
    title: 'the table of fault callbacks is read one past its end',
    had: ['v7'],
    shows(booted) {
      const { kernel, key } = booted();
      const page = kernel.call(() => kernel.mm.vmalloc(4096, { key: key + 1, writable: true }));
      kernel.call(() => kernel.spawn('victim', () => kernel.machine.store32(page, 1)));
      kernel.run();
      return kernel.dmesg.some((line) => line.includes('instruction fetch'));
    },
  },
  {
    id: 'D-49',
    title: 'an oops prints PKRS on a CPU that has none',
    had: ['rfc-v3'],
    shows(booted) {
      const { kernel } = booted({ features: { pks: false } });
      const regs = {
        interruptFlag: 1,
        userMode: false,
        fixup: false,
        vector: 14,
        state: { words: [], exitRcu: false },
      };
      const { faultReport, showRegs } = kernel.slots;
      const lines = [
        ...faultReport.map((line) => line(regs, PF_PK)),
        ...showRegs.map((line) => line(regs)),
      ];
      return lines.includes('PKRS: 0x0');
    },
  },
  {
    id: 'fork-inherits',
    title: "a new task has its parent's rights",
    had: ALL_POSTED,
    shows(booted) {
      const { kernel, pks, key } = booted();
      const child = kernel.call(() => {
        pks.pkrs.updateProtection(key, PKEY_READ_WRITE);
        return kernel.spawn('child', () => {});
      });
      return pkrPair(pks.pkrs.saved.values[child] as number, key) === PKEY_READ_WRITE;
    },
  },
];
