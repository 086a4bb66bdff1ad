// SPDX-License-Identifier: MIT
// What the parts of a machine share: the state that operations read and change.

import type { Column } from './cell.ts';
import type { Chunk } from './chunk.ts';
import type { Cpu, RegisterColumns } from './cpu.ts';
import type { Fault } from './fault.ts';
import type { PhysicalMemory } from './memory.ts';
import type { Behaviours, CpuFeatures } from './model.ts';
import type { OperationHook } from './operation.ts';

/** Receives what executed operations change, so that it can be undone or hashed. */
export interface Journal {
  cell(column: Column, index: number, old: number, value: number): void;
  /** Called before `length` bytes at an offset of a chunk change. */
  bytes(chunk: Chunk, offset: number, length: number): void;
}

/** A choice that software leaves open: an explorer tries every alternative, else the first is taken. */
export interface Chooser {
  alternatives(argument: number): readonly number[];
  /** Takes one; its effects go through `Column.poke`. */
  take(choice: number): void;
}

/** The state of a machine, as its parts see it. */
export interface MachineState {
  hook: OperationHook | null;
  journal: Journal | null;
  cpu: Cpu;
  readonly cpus: readonly Cpu[];
  readonly features: CpuFeatures;
  readonly behaviours: Behaviours;
  readonly memory: PhysicalMemory;
  readonly columns: readonly Column[];
  readonly registers: RegisterColumns;
  readonly choosers: readonly Chooser[];
  switchStack: (task: number) => number;
  resultHigh: number;
  readonly fault: Fault;
  readonly buffers: readonly Uint8Array[];
}
