// SPDX-License-Identifier: MIT
// Runs a schedule of the explorer on the live engine: ordinary calls, events as nested calls.

import { type Action, type Scenario, System } from '@pkslab/explore';
import {
  type EventSource,
  type Kernel,
  RESCHEDULE_VECTOR,
  type RevisionRequest,
  type Runner,
  TaskState,
} from '@pkslab/kernel';
import { EXTABLE, KIND_MASK, Op } from '@pkslab/x86-cpu';
import { expect } from 'vitest';

/** Where the explorer's page faults lie. */
const USER_PAGE = 0x1000;

/** Thrown out of the live engine at the end of the schedule. */
class Done extends Error {}

/** Cells of a stopped machine, by name; of tasks only those that the scenario has. */
function cellsOf(kernel: Kernel, tasks: readonly number[]): Record<string, number[]> {
  const cells: Record<string, number[]> = {};
  for (const { field, values } of kernel.machine.columns) {
    if (field.name.startsWith('explore.')) continue;
    const all = [...values];
    cells[field.name] = field.per === 'task' ? tasks.map((task) => all[task] as number) : all;
  }
  return cells;
}

/** Runs a schedule in the explorer: the kinds of its operations, and the cells at its end. */
export function inExplorer(
  scenario: Scenario,
  request: RevisionRequest,
  schedule: readonly Action[],
) {
  const setup = scenario.setup(request);
  const system = new System(setup);
  system.enabled.setBudget(scenario.budget, schedule.length);
  const kinds: number[] = [];
  system.onStep = (_cpu, _task, node) => kinds.push(node.kind & KIND_MASK);
  for (const action of schedule) system.perform(action);
  return { kinds, cells: cellsOf(setup.kernel, setup.tasks), violation: system.checker.violation };
}

/** Fires the events of a schedule where they were, and stops the machine where it ends. */
class ScheduleSource implements EventSource {
  readonly kinds: number[] = [];
  readonly #kernel: Kernel;
  readonly #first: number;
  readonly #schedule: readonly Action[];
  #at = 0;
  #begun = false;
  #starting = false;

  constructor(kernel: Kernel, first: number, schedule: readonly Action[]) {
    this.#kernel = kernel;
    this.#first = first;
    this.#schedule = schedule;
  }

  boundary(runner: Runner, kind: number, chooser: number): void {
    if (!this.#hasBegun(kind)) return;
    for (;;) {
      const action = this.#schedule[this.#at];
      if (action === undefined) throw new Done();
      this.#at++;
      if (action.event === null) {
        if ((kind & KIND_MASK) === Op.choose) this.#takeNext(chooser, action.choice);
        break;
      }
      this.#fire(runner, action, kind);
    }
    this.kinds.push(kind & KIND_MASK);
  }

  /** The schedule starts at the first call of the first task: after the STI of ret_from_fork. */
  #hasBegun(kind: number): boolean {
    if (this.#begun) return true;
    if (this.#starting) this.#begun = true;
    const { values } = this.#kernel.tasks.currentTask;
    this.#starting = values[0] === this.#first && (kind & KIND_MASK) === Op.sti;
    return this.#begun;
  }

  /** The alternative that the schedule took; the live engine by itself takes the first. */
  #takeNext(number: number, choice: number): void {
    const { choosers } = this.#kernel.machine;
    const chooser = choosers[number];
    if (chooser === undefined) return;
    expect(chooser.alternatives(this.#kernel.tasks.currentTask.values[0] as number)).toContain(
      choice,
    );
    choosers[number] = {
      alternatives: () => [choice],
      take: (taken) => {
        choosers[number] = chooser;
        chooser.take(taken);
      },
    };
  }

  #fire(runner: Runner, { event, choice }: Action, kind: number): void {
    if (event === 'irq') runner.interrupt(choice);
    else if (event === 'nmi') runner.nmi();
    else if (event === 'preempt') runner.interrupt(RESCHEDULE_VECTOR);
    else runner.userPageFault(USER_PAGE, false, (kind & EXTABLE) !== 0);
  }
}

/** The same on the live engine. */
export function onLiveEngine(
  scenario: Scenario,
  request: RevisionRequest,
  schedule: readonly Action[],
) {
  const { kernel, tasks } = scenario.setup(request);
  createHost(kernel);
  const source = new ScheduleSource(kernel, tasks[0] as number, schedule);
  kernel.runner.attach(source);
  try {
    kernel.run();
  } catch (error) {
    if (!(error instanceof Done)) throw error;
  }
  return { kinds: source.kinds, cells: cellsOf(kernel, tasks) };
}

/**
 * The host's own task comes to be before the scenario's run, since no source would see what they do till then;
 * and in the last slot, so that a scenario's new tasks get the slots that they have in the explorer.
 */
function createHost(kernel: Kernel): void {
  const { values } = kernel.tasks.state;
  const states = [...values];
  for (let task = kernel.machine.cpus.length; task < values.length - 1; task++) {
    values[task] = TaskState.embryo;
  }
  kernel.call(() => {});
  values.set(states.slice(0, -1));
}
