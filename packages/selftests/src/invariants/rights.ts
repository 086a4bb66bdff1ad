// SPDX-License-Identifier: MIT
// What the rules of protection keys look at: registers and cells, read without an operation.

import type { View, WatchedCell, Window } from '@pkslab/explore';
import type { Kernel } from '@pkslab/kernel';
import { memremap } from '@pkslab/memremap';
import { pkrsCacheField, pksCore, savedPkrsField } from '@pkslab/pks-core';
import type { Column } from '@pkslab/x86-cpu';

/** Where register, cache and saved value are being changed together. */
export const CHANGING: readonly Window[] = ['update', 'switch', 'entry'];
/** And where the count and the key are. */
export const GRANTING: readonly Window[] = [...CHANGING, 'grantUpdate'];

/** The addresses of protected device memory. */
export interface DeviceRange {
  readonly address: number;
  readonly size: number;
}

/** Registers and cells that the rules speak of. */
export interface Rights {
  /** IA32_PKRS of a CPU. */
  msr(cpu: number): number;
  cache(cpu: number): number;
  saved(task: number): number;
  /** Open sections by the count of the running task, or of its CPU; null where nothing is counted (`cookie`). */
  count(view: Pick<View, 'cpu' | 'task'>): number | null;
  /** Whether the kernel has PKS and uses it: what CPUs are to start with only then means anything. */
  readonly enabled: boolean;
  /** The cells behind these. */
  readonly columns: {
    readonly msr: Column;
    readonly cache: Column;
    readonly saved: Column;
    readonly ref: Column;
  };
  /** INIT: what this revision's CPUs, tasks and handlers are to start with. */
  readonly init: number;
  /** Whether the device key is open in a register value. */
  isOpen(value: number): boolean;
  /** The same, by the names that traces give them. */
  readonly cells: Readonly<Record<'msr' | 'cache' | 'saved' | 'count', WatchedCell>>;
}

export function rightsOf(kernel: Kernel): Rights {
  const { machine } = kernel;
  const { access } = kernel.module(memremap);
  const { pkrs, enabled } = kernel.module(pksCore);
  const counting = kernel.choice('grantCounting');
  const cells = {
    msr: cellOf('MSR', machine.registers.pkrs, 'cpu'),
    cache: cellOf('cache', machine.column(pkrsCacheField), 'cpu'),
    saved: cellOf('saved', machine.column(savedPkrsField), 'task'),
    count: cellOf('count', access.ref, access.ref.field.per === 'cpu' ? 'cpu' : 'task'),
  };
  const { values: msr } = cells.msr.column;
  const { values: cache } = cells.cache.column;
  const { values: saved } = cells.saved.column;
  const { values: ref } = cells.count.column;
  const columns = {
    msr: cells.msr.column,
    cache: cells.cache.column,
    saved: cells.saved.column,
    ref: cells.count.column,
  };
  const shift = access.pkey * 2;
  return {
    columns,
    msr: (cpu) => msr[cpu] as number,
    cache: (cpu) => cache[cpu] as number,
    saved: (task) => saved[task] as number,
    count: (view) => (counting === 'cookie' ? null : (ref[cells.count.index(view)] as number)),
    enabled,
    init: pkrs.init.value,
    isOpen: (value) => ((value >>> shift) & 0b01) === 0,
    cells,
  };
}

function cellOf(label: string, column: Column, of: 'cpu' | 'task'): WatchedCell {
  return { label, column, index: (view) => view[of] };
}

/** The cells of a field that its package keeps to itself. */
export function cellsOf(kernel: Kernel, name: string): Column {
  const column = kernel.machine.columns.find(({ field }) => field.name === name);
  if (column === undefined) throw new Error(`no cells ${name}: an invariant looks at them`);
  return column;
}

export function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
