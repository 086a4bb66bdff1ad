// SPDX-License-Identifier: MIT
// For each task a stack of suspended routines, each at a node of its trie; all of it in cells.

import type { Kernel, TaskCode } from '@pkslab/kernel';
import type { Column } from '@pkslab/x86-cpu';
import type { Node, Routine } from './node.ts';
import type { Tries } from './trie.ts';

/** Contexts on one stack: a task's call, and entries nested above it. */
export const MAX_DEPTH = 8;

/** The routines of one task's life. */
interface Life {
  readonly start: Routine;
  /** Its calls, then do_exit. */
  readonly calls: readonly Routine[];
}

export class Stacks {
  /** The task whose stack each CPU is on. */
  readonly stackOf: Column;
  readonly depth: Column;
  readonly #frames: Column;
  readonly #call: Column;
  /** For each task the node that created it, plus 1; 0 for those that were there at the start. */
  readonly #creator: Column;
  readonly #kernel: Kernel;
  readonly #tries: Tries;
  readonly #idle: readonly Routine[];
  /** Tasks that were there at the start. */
  readonly #first: readonly (Life | undefined)[];
  /** Later ones, by the node that created them. */
  readonly #later = new Map<number, Life>();

  constructor(kernel: Kernel, tries: Tries) {
    const { machine } = kernel;
    this.#kernel = kernel;
    this.#tries = tries;
    const object = (name: string, count: number, initial = 0): Column =>
      machine.column({ name: `explore.${name}`, type: 'i32', initial, per: 'object', count });
    this.stackOf = object('stack', machine.cpus.length);
    this.depth = object('depth', machine.tasks);
    this.#frames = object('frames', machine.tasks * MAX_DEPTH);
    this.#call = object('call', machine.tasks, -1);
    this.#creator = object('creator', machine.tasks);
    this.#first = Array.from({ length: machine.tasks }, (_, task) =>
      kernel.tasks.exists(task) ? this.#life(task, kernel.tasks.code(task), '') : undefined,
    );
    this.#idle = machine.cpus.map((cpu) =>
      tries.routine(`idle:${cpu.index}`, 'task', () => {
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

  /** The code before a node created a task. */
  create(task: number, node: Node): void {
    this.#creator.poke(task, node.id + 1);
  }

  /** What a task without contexts runs next: the idle loop, ret_from_fork, a call, do_exit. */
  nextRoutine(task: number, started: boolean): Routine {
    const idle = this.#idle[task];
    if (idle !== undefined) return idle;
    const life = this.#lifeOf(task);
    if (!started) return life.start;
    const call = (this.#call.values[task] as number) + 1;
    this.#call.poke(task, call);
    return life.calls[call] as Routine;
  }

  #lifeOf(task: number): Life {
    const creator = this.#creator.values[task] as number;
    if (creator === 0) return this.#first[task] as Life;
    let life = this.#later.get(creator);
    if (life === undefined) {
      const { created } = this.#tries.nodes[creator - 1] as Node;
      if (created === null) throw new Error(`node ${creator - 1} created no task`);
      life = this.#life(task, created.code, `:${creator}`);
      this.#later.set(creator, life);
    }
    return life;
  }

  #life(task: number, code: TaskCode, suffix: string): Life {
    const { sched } = this.#kernel;
    const routine = (name: string, run: () => void): Routine =>
      this.#tries.routine(`${name}:${task}${suffix}`, 'task', () => {
        run();
        return 0;
      });
    const calls = code.calls.map((call, i) => routine(`${code.name}:${i}`, call));
    calls.push(routine(`${code.name}:exit`, () => sched.doExit()));
    return { start: routine('start', () => sched.startTask(task)), calls };
  }
}
