// SPDX-License-Identifier: MIT
// Tasks: their cells, and what exists of them outside the machine (name and code). kernel/fork.c

import { type Column, type FieldDefinition, type Machine, PerCpu } from '@pkslab/x86-cpu';
import { ENOMEM } from './errno.ts';
import { KernelError } from './kernel-error.ts';

/** task->state */
export const TaskState = { unused: 0, running: 1, sleeping: 2, dead: 3, embryo: 4 } as const;

/** thread_info flags that make __switch_to take its slow path. */
export const TIF_WORK_CTXSW = 1;

const stateField: FieldDefinition = {
  name: 'task.state',
  type: 'u8',
  initial: 0,
  per: 'task',
};
/** CPU the task is on, plus 1; 0 while it waits on no CPU. */
const onCpuField: FieldDefinition = {
  name: 'task.on_cpu',
  type: 'u8',
  initial: 0,
  per: 'task',
};
const boundToField: FieldDefinition = {
  name: 'task.cpus_allowed',
  type: 'u8',
  initial: 0,
  per: 'task',
};
/** CPU that the migration thread moves the task to, plus 1; 0 while nobody moves it. */
const movesToField: FieldDefinition = {
  name: 'task.moves_to',
  type: 'u8',
  initial: 0,
  per: 'task',
};
const tifField: FieldDefinition = {
  name: 'thread_info.flags',
  type: 'u32',
  initial: 0,
  per: 'task',
};
const pagefaultDisabledField: FieldDefinition = {
  name: 'task.pagefault_disabled',
  type: 'i32',
  initial: 0,
  per: 'task',
};
const waitColumnField: FieldDefinition = {
  name: 'task.wait_on',
  type: 'i32',
  initial: -1,
  per: 'task',
};
const waitIndexField: FieldDefinition = {
  name: 'task.wait_index',
  type: 'i32',
  initial: 0,
  per: 'task',
};
const waitValueField: FieldDefinition = {
  name: 'task.wait_value',
  type: 'i32',
  initial: 0,
  per: 'task',
};
const currentField: FieldDefinition = { name: 'current_task', type: 'u16', initial: 0, per: 'cpu' };

/** What runs in a task: a list of calls; the record of a call ends with it. */
export interface TaskCode {
  readonly name: string;
  readonly calls: readonly (() => void)[];
  /** The idle task of a CPU repeats its calls for ever. */
  readonly loop?: boolean;
  /** kthread_bind: the only CPU that it runs on. */
  readonly cpu?: number;
}

export class Tasks {
  readonly state: Column;
  readonly onCpu: Column;
  /** The CPU that a task is bound to, plus 1; 0 while it may run on any. */
  readonly boundTo: Column;
  /** The CPU on which a task goes on that is being migrated, plus 1; 0 for any other task. */
  readonly movesTo: Column;
  /** What a new task has from its creation, and not from its parent. */
  readonly #ownedByCreate: readonly Column[];
  readonly tif: Column;
  readonly pagefaultDisabled: Column;
  readonly waitColumn: Column;
  readonly waitIndex: Column;
  readonly waitValue: Column;
  readonly currentTask: Column;
  readonly currentOfCpu: PerCpu;
  readonly #machine: Machine;
  readonly #code: (TaskCode | undefined)[] = [];
  readonly #deaths: (string | undefined)[] = [];
  /** Told of each new task's code; for a checker that goes back to before a task was made. */
  onCreate: ((task: number, code: TaskCode) => void) | null = null;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.state = machine.column(stateField);
    this.onCpu = machine.column(onCpuField);
    this.boundTo = machine.column(boundToField);
    this.movesTo = machine.column(movesToField);
    this.#ownedByCreate = [this.state, this.onCpu, this.boundTo, this.movesTo];
    this.tif = machine.column(tifField);
    this.pagefaultDisabled = machine.column(pagefaultDisabledField);
    this.waitColumn = machine.column(waitColumnField);
    this.waitIndex = machine.column(waitIndexField);
    this.waitValue = machine.column(waitValueField);
    this.currentTask = machine.column(currentField);
    this.currentOfCpu = new PerCpu(this.currentTask);
  }

  /** get_current: constant for the running context, so no event can come before the read. */
  getCurrent(): number {
    return this.currentOfCpu.readLocal();
  }

  /** `current`: the same, for code that is not hot: see `StaticKey.enabled`. */
  get current(): number {
    return this.getCurrent();
  }

  code(task: number): TaskCode {
    const code = this.#code[task];
    if (code === undefined) throw new RangeError(`task ${task} does not exist`);
    return code;
  }

  /** Whether a slot was ever taken. */
  exists(task: number): boolean {
    return this.#code[task] !== undefined;
  }

  /** What a task is called in reports: comm/index. */
  nameOf(task: number): string {
    return this.#code[task]?.name ?? `task ${task}`;
  }

  /** set_task_comm */
  rename(task: number, name: string): void {
    this.#code[task] = { ...this.code(task), name };
  }

  /** Remembers the first line of the report that ended a task. */
  noteDeath(task: number, report: string): void {
    this.#deaths[task] = report;
  }

  /** The first line of the report that ended a task. */
  deathOf(task: number): string {
    return this.#deaths[task] ?? 'no report';
  }

  /** Takes the lowest free slot for a new task; it becomes runnable when its state is set. */
  create(code: TaskCode): number {
    for (let task = 0; task < this.state.values.length; task++) {
      const state = this.state.get(task);
      if (state !== TaskState.unused && state !== TaskState.dead) continue;
      // A dead task stands on its CPU until it has switched away.
      if (state === TaskState.dead && this.onCpu.get(task) !== 0) continue;
      // Another CPU may look for a slot at the same time.
      if (this.state.compareExchange(task, state, TaskState.embryo) !== state) continue;
      this.#code[task] = code;
      this.onCreate?.(task, code);
      this.boundTo.set(task, code.cpu === undefined ? 0 : code.cpu + 1);
      return task;
    }
    throw new KernelError(ENOMEM, `no free task of ${this.state.values.length}: boot with more`);
  }

  /** copy_process: what the child starts with, field by field, as each field's owner declared. */
  copyFields(parent: number, child: number): void {
    for (const column of this.#machine.columns) {
      const { per, fork, initial } = column.field;
      if (per !== 'task' || this.#ownedByCreate.includes(column)) continue;
      column.set(child, fork === 'copy' ? column.get(parent) : initial);
    }
  }

  /** Whether the task could run: runnable, or asleep on a condition that now holds. */
  isReady(task: number): boolean {
    const state = this.state.values[task];
    if (state === TaskState.running) return true;
    if (state !== TaskState.sleeping) return false;
    const column = this.#machine.columns[this.waitColumn.values[task] as number];
    return column?.values[this.waitIndex.values[task] as number] === this.waitValue.values[task];
  }
}
