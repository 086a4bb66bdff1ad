// SPDX-License-Identifier: MIT
// The live engine: a schedule on the kernel's own code, events as nested calls, step by step with the memoised one.

import {
  type EventSource,
  type Kernel,
  KernelPanic,
  RESCHEDULE_VECTOR,
  type RevisionRequest,
  type Runner,
} from '@pkslab/kernel';
import { type Column, EXTABLE, KIND_MASK, Op } from '@pkslab/x86-cpu';
import type { Action } from './actions.ts';
import { type Director, direct, type Engine } from './director.ts';
import { ExploreError } from './explore-error.ts';
import { isOperation, type Operation } from './node.ts';
import { cellName, eventText, hex, operationName } from './operation-text.ts';
import type { Scenario } from './scenario.ts';
import { type System, USER_PAGE } from './system.ts';

/** Thrown out of the kernel's code at the end of the schedule. */
const DONE = new Error('the schedule is at its end');

/** What runs schedules of a system on an engine: on the live one each of them on a kernel of its own. */
export function runnerOf(
  engine: Engine,
  scenario: Scenario,
  request: RevisionRequest,
  system: System,
): (director: Director) => void {
  if (engine === 'memoised') return direct;
  return (director) => directLive(director, system, scenario.setup(request).kernel);
}

/**
 * Runs a schedule on the live engine, while the director makes its steps on the memoised one.
 *
 * @param kernel another one of the same scenario and request: it is left as it stands at the end
 * @throws {ExploreError} where the engines disagree: it names the operation, or the cell.
 */
function directLive(director: Director, system: System, kernel: Kernel): void {
  const source = new ScheduleSource(director, system, kernel);
  kernel.runner.attach(source);
  try {
    kernel.runner.runFree();
    source.end();
  } catch (thrown) {
    // A panic stops the machine: nothing may come after it.
    if (thrown instanceof KernelPanic) source.end();
    else if (thrown !== DONE) throw thrown;
  } finally {
    kernel.runner.attach(null);
  }
}

/** Fires the events of a schedule where they come, and lets that CPU go on whose step it is. */
class ScheduleSource implements EventSource {
  readonly #director: Director;
  readonly #system: System;
  readonly #kernel: Kernel;
  /** Steps that the memoised engine has made already: to the first calls of the first tasks. */
  readonly #start: Action[];
  /** The step that comes next; undefined until it is asked for. */
  #next: Action | null | undefined;
  /** Steps that were taken: how progress is told. */
  #taken = 0;

  constructor(director: Director, system: System, kernel: Kernel) {
    this.#director = director;
    this.#system = system;
    this.#kernel = kernel;
    this.#start = [...system.start];
    // What the memoised engine has added to its machine for itself: numbers of later columns shall be the same.
    const { machine } = kernel;
    for (const { field } of system.machine.columns.slice(machine.columns.length)) {
      machine.column(field);
    }
  }

  boundary(runner: Runner, kind: number, a: number, b: number, c: number, d: number): void {
    const { cpu } = this.#kernel.machine;
    const operation = { kind, a, b, c, d };
    for (;;) {
      const action = this.#decide();
      if (action === null) this.#stop();
      if (action.event === 'powerFail') this.#fail(action);
      if (action.cpu !== cpu.index) this.#letRun(runner, cpu.index, action.cpu);
      else if (action.event === null) {
        this.#step(action, operation);
        return;
      } else if (this.#fire(runner, action, kind)) return;
    }
  }

  /** The live engine has nothing more to do. */
  end(): void {
    const action = this.#decide();
    if (action !== null) throw this.#disagreement(`it ended before ${actionText(action)}`);
    this.#compareCells();
  }

  #decide(): Action | null {
    const first = this.#start[0];
    if (first !== undefined) return first;
    if (this.#next === undefined) this.#next = this.#director.next();
    return this.#next;
  }

  /** Takes the step that was decided; the memoised engine makes it before the live one. */
  #take(action: Action): void {
    this.#taken++;
    if (this.#start.shift() !== undefined) return;
    this.#next = undefined;
    this.#director.perform(action);
  }

  #stop(): never {
    this.#compareCells();
    throw DONE;
  }

  /** The power fails: what the recovery finds is the memoised engine's business. */
  #fail(action: Action): never {
    this.#compareCells();
    this.#take(action);
    if (this.#decide() !== null) throw this.#disagreement('steps come after a power failure');
    throw DONE;
  }

  /** CPU 0 stands below the others on the host's stack: it gives them their turns, and they give them back. */
  #letRun(runner: Runner, cpu: number, other: number): void {
    if (cpu !== 0) runner.pause();
    const taken = this.#taken;
    runner.runOther(other, Number.POSITIVE_INFINITY);
    if (this.#taken === taken) throw this.#disagreement(`CPU ${other} does not go on`);
  }

  #step(action: Action, operation: Operation): void {
    if (this.#start.length === 0) this.#compareOperation(action.cpu, operation);
    if ((operation.kind & KIND_MASK) === Op.choose) this.#forceChoice(operation, action.choice);
    this.#take(action);
  }

  /** The alternative that the schedule takes; the live engine by itself takes the first. */
  #forceChoice({ a: number, b: argument }: Operation, choice: number): void {
    const { choosers } = this.#kernel.machine;
    const chooser = choosers[number];
    if (chooser?.alternatives(argument).includes(choice) !== true) {
      throw this.#disagreement(`${choice} is not among the alternatives`);
    }
    choosers[number] = {
      alternatives: () => [choice],
      take: (taken) => {
        choosers[number] = chooser;
        chooser.take(taken);
      },
    };
  }

  /** Delivers an event; true if the operation before which it came is not executed any more. */
  #fire(runner: Runner, action: Action, kind: number): boolean {
    const { sched, tasks } = this.#kernel;
    const { cpu, event, choice } = action;
    this.#compareCells();
    this.#take(action);
    if (event === 'machineCheck') runner.machineCheck();
    else if (event === 'pageFault') {
      return runner.userPageFault(USER_PAGE, false, (kind & EXTABLE) !== 0);
    } else {
      if (event === 'migrate') sched.moveTo(tasks.currentTask.values[cpu] as number, choice);
      if (!isTaken(runner, action)) throw this.#disagreement(`no ${eventText(action)} can come`);
    }
    return false;
  }

  #compareOperation(cpu: number, operation: Operation): void {
    const node = this.#system.nodeOf(cpu);
    if (isOperation(node, operation)) return;
    const text = ({ kind, a, b, c, d }: Operation): string =>
      `${operationName(this.#system.machine, { kind, a, c })} (${b}, ${c}, ${d})`;
    throw this.#disagreement(`CPU ${cpu} does ${text(operation)}, not ${text(node)}`);
  }

  /** At events and at the end; operations, with what they write, are compared one by one. */
  #compareCells(): void {
    const others = this.#system.machine.columns;
    for (const [id, column] of this.#kernel.machine.columns.entries()) {
      const values = others[id]?.values;
      if (values === undefined || column.field.name.startsWith('explore.')) continue;
      const index = firstDifference(column.values, values);
      if (index < 0) continue;
      const [live, other] = [column.values[index] as number, values[index] as number];
      throw this.#disagreement(`${cellName(column, index)} is ${hex(live)}, not ${hex(other)}`);
    }
  }

  #disagreement(what: string): ExploreError {
    return new ExploreError(`the engines disagree after ${this.#taken} steps: live, ${what}`);
  }
}

/** A plain loop: there are some 70,000 cells. */
function firstDifference(one: Column['values'], other: Column['values']): number {
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return i;
  return -1;
}

/** Delivers an event that the machine may refuse. */
function isTaken(runner: Runner, { event, choice }: Action): boolean {
  if (event === 'nmi') return runner.nmi();
  if (event === 'ipi') return runner.deliverPending();
  return runner.interrupt(event === 'irq' ? choice : RESCHEDULE_VECTOR);
}

function actionText(action: Action): string {
  const what = action.event === null ? 'the next operation' : eventText(action);
  return `${what} on CPU ${action.cpu}`;
}
