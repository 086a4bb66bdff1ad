// SPDX-License-Identifier: MIT
// For each task a stack of suspended routines, each at a node of its trie; all of it in cells.

import type { Kernel } from '@pkslab/kernel';
import type { Column } from '@pkslab/x86-cpu';
import type { Node, Routine, Tries } from './trie.ts';

/** Contexts on one stack: a task's call, and entries nested above it. */
export const MAX_DEPTH = 8;

export class Stacks {
  /** The task whose stack each CPU is on. */
  readonly stackOf: Column;
  readonly depth: Column;
  readonly #frames: Column;
  readonly #call: Column;
  readonly #kernel: Kernel;
  readonly #tries: Tries;
  readonly #idle: readonly Routine[];

  constructor(kernel: Kernel, tries: Tries) {
    const { machine } = kernel;
    this.#kernel = kernel;
    this.#tries = tries;
    const object = (name: string, count: number, initial = 0): Column =>
      machine.column({ name: `explore.${name}`, type: 'address', initial, per: 'object', count });
    this.stackOf = object('stack', machine.cpus.length);
    this.depth = object('depth', machine.tasks);
    this.#frames = object('frames', machine.tasks * MAX_DEPTH);
    this.#call = object('call', machine.tasks, -1);
    this.#idle = machine.cpus.map((cpu) =>
      tries.routine(`idle:${cpu.index}`, () => {
        for (const call of kernel.tasks.code(cpu.index).calls) call();
        return 0;
      }),
    );
  }

  /** The innermost context of a task. */
  top(task: number): Node {
    return this.at(task, (this.depth.values[task] as number) - 1);
  }

  /** A task's context by its depth, 0 the outermost. */
  at(task: number, depth: number): Node {
    return this.#tries.nodes[this.#frames.values[task * MAX_DEPTH + depth] as number] as Node;
  }

  setTop(task: number, node: Node): void {
    this.#frames.poke(task * MAX_DEPTH + (this.depth.values[task] as number) - 1, node.id);
  }

  /** Adds an empty context; `setTop` says where it is. */
  grow(task: number): void {
    this.depth.poke(task, (this.depth.values[task] as number) + 1);
  }

  /** Ends the innermost context. */
  shrink(task: number): void {
    const depth = (this.depth.values[task] as number) - 1;
    this.#frames.poke(task * MAX_DEPTH + depth, 0);
    this.depth.poke(task, depth);
  }

  /** A dead task's contexts are never gone back to. */
  drop(task: number): void {
    while ((this.depth.values[task] as number) > 0) this.shrink(task);
    this.#call.poke(task, -1);
  }

  /** Whether a task has begun its first call. */
  hasBegun(task: number): boolean {
    return (this.#call.values[task] as number) >= 0;
  }

  /** What a task without contexts runs next: the idle loop, ret_from_fork, a call, do_exit. */
  nextRoutine(task: number, started: boolean): Routine {
    const idle = this.#idle[task];
    if (idle !== undefined) return idle;
    if (!started) return this.#startRoutine(task);
    const call = (this.#call.values[task] as number) + 1;
    this.#call.poke(task, call);
    return this.#callRoutine(task, call);
  }

  #startRoutine(task: number): Routine {
    return this.#tries.routine(`start:${task}`, () => {
      this.#kernel.sched.startTask(task);
      return 0;
    });
  }

  #callRoutine(task: number, call: number): Routine {
    const code = this.#kernel.tasks.code(task);
    const fn = code.calls[call];
    return this.#tries.routine(`${code.name}:${fn === undefined ? 'exit' : call}:${task}`, () => {
      if (fn === undefined) this.#kernel.sched.doExit();
      else fn();
      return 0;
    });
  }
}
