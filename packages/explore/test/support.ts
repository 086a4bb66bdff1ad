// SPDX-License-Identifier: MIT
// Small protocols on cells, as scenarios.

import { boot, type Kernel, type RevisionRequest } from '@pkslab/kernel';
import type { Column, FieldDefinition } from '@pkslab/x86-cpu';
import {
  type Action,
  type Budget,
  type Invariant,
  invariant,
  type Scenario,
  System,
  totalEvents,
} from '../src/index.ts';

export const NONE: Budget = { irq: 0, nmi: 0, preempt: 0, pageFault: 0 };

export const REFERENCE: RevisionRequest = {
  revision: 'reference',
  repairs: [],
  sabotages: [],
  with: {},
};

/** A kernel without modules, as small as it gets. */
export function smallKernel(cpus = 1): Kernel {
  return boot({ cpus, memory: 8 * 1024 * 1024, tasks: 8 });
}

/** Global cells by name; the same object for the same name, as the identity of a field demands. */
const fields = new Map<string, FieldDefinition>();

export function cell(kernel: Kernel, name: string, count = 1): Column {
  let field = fields.get(name);
  if (field === undefined) {
    field = { name: `test.${name}`, type: 'i32', initial: 0, per: 'object', count };
    fields.set(name, field);
  }
  return kernel.machine.column(field);
}

export interface Protocol {
  readonly cpus?: number;
  readonly budget?: Budget;
  /** Fills handlers and gives the calls of each task, and what must hold. */
  code(kernel: Kernel): {
    readonly tasks: readonly (readonly (() => void)[])[];
    readonly invariants?: readonly Invariant[];
    readonly vectors?: readonly number[];
  };
}

/** A scenario of tasks A, B … on a kernel without modules. */
export function protocol({ cpus = 1, budget = {}, code }: Protocol): Scenario {
  return {
    name: 'protocol',
    title: 'a small protocol',
    budget,
    setup() {
      const kernel = smallKernel(cpus);
      const { tasks, invariants = [], vectors } = code(kernel);
      const spawned = tasks.map((calls, i) => kernel.spawn(String.fromCharCode(65 + i), ...calls));
      const base = { kernel, tasks: spawned, invariants };
      return vectors === undefined ? base : { ...base, vectors };
    },
  };
}

/** A system at the scenario's start, with its budget. */
export function systemOf(scenario: Scenario): System {
  const system = new System(scenario.setup(REFERENCE));
  const total = totalEvents(scenario.budget, system.machine.cpus.length);
  system.enabled.setBudget(scenario.budget, total);
  return system;
}

/** At the end, a cell holds a value. */
export function endsWith(column: Column, value: number): Invariant {
  return invariant({
    id: 'end',
    text: `${column.field.name} ends as ${value}`,
    end: () => (column.values[0] === value ? null : `ends as ${column.values[0]}`),
  });
}

/** Two tasks increment a cell with a get and a set. */
export function lostUpdate(cpus: number, budget: Budget = {}): Scenario {
  return protocol({
    cpus,
    budget,
    code(kernel) {
      const x = cell(kernel, 'x');
      const increment = (): void => x.set(0, x.get(0) + 1);
      return { tasks: [[increment], [increment]], invariants: [endsWith(x, 2)] };
    },
  });
}

/** A lost update behind `padding` operations of the first task; `sum` is what it must end as. */
export function paddedUpdate(cpus: number, padding: number, sum = 2): Scenario {
  return protocol({
    cpus,
    budget: { preempt: cpus === 1 ? 1 : 0 },
    code(kernel) {
      const x = cell(kernel, 'x');
      const y = cell(kernel, 'y');
      const increment = (): void => x.set(0, x.get(0) + 1);
      const body = (): void => {
        for (let i = 0; i < padding; i++) y.add(0, 1);
        increment();
      };
      return { tasks: [[body], [increment]], invariants: [endsWith(x, sum)] };
    },
  });
}

/** Makes steps without events until a task's next operation is one of a kind. */
export function stepTo(system: System, op: number, cpu = 0): void {
  for (let i = 0; i < 1000 && (system.nodeOf(cpu).kind & 0x7f) !== op; i++) step(system, cpu);
  if ((system.nodeOf(cpu).kind & 0x7f) !== op) throw new Error(`operation ${op} never comes`);
}

/** Makes a CPU's next step, without an event. */
export function step(system: System, cpu = 0): void {
  const action = system.enabled
    .actions()
    .find((one) => one.cpu === cpu && one.event === null) as Action;
  system.perform(action);
}

export function deliver(system: System, event: Action['event']): void {
  const action = system.enabled.actions().find((one) => one.event === event);
  if (action === undefined) throw new Error(`${event} is not possible here`);
  system.perform(action);
}
