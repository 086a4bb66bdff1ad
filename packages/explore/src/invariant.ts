// SPDX-License-Identifier: MIT
// Checks that a search makes as it goes.

import type { Mark } from '@pkslab/kernel';
import type { Column } from '@pkslab/x86-cpu';

/** A window of the kernel's code, by the name of its mark. */
export type Window = keyof typeof Mark;

/** What kind of code a context runs. */
export type FrameKind = 'task' | 'irq' | 'nmi' | 'machineCheck' | 'exception';

/** What an invariant sees: the CPU that just stepped and its innermost context. */
export interface View {
  /** The CPU that stepped. */
  readonly cpu: number;
  /** The task whose stack it is on. */
  readonly task: number;
  readonly frame: FrameKind;
  /** Windows (bits of `Mark` ids) open in the innermost context. */
  readonly windows: number;
  /** Grants that the innermost context holds. */
  readonly grants: number;
  /** Whether any other context, on this stack or another, holds a grant. */
  readonly grantsElsewhere: boolean;
}

/** A cell that an invariant speaks of: which one of its column, the CPU and its task say. */
export interface WatchedCell {
  /** Its name in traces; default the field's. */
  readonly label?: string;
  readonly column: Column;
  index(view: Pick<View, 'cpu' | 'task'>): number;
}

/**
 * A check. Each function returns null, or what is wrong in one sentence.
 *
 * An invariant is asked about each CPU after each step, and may look at any cell.
 */
export interface Invariant {
  readonly id: string;
  readonly text: string;
  /**
   * What the checks look at beside the view: of a per-CPU column the cell of the view's CPU, of a per-task column that
   * of the view's task, of any other all cells. Leave it out where they look further, or at `grantsElsewhere` (unless
   * that only decides between two names of one state): then ample sets are not used. `end` may look at anything in any case.
   */
  readonly looksAt?: readonly Column[];
  /** Columns of which they look at the cells of every CPU or task; beside {@link looksAt}, which may be empty. */
  readonly looksAtAll?: readonly Column[];
  /** What it compares: traces show it as it changes, and say who changed it last. */
  readonly cells?: readonly WatchedCell[];
  /** Windows of the running context in which `boundary` is not checked; every report lists them. */
  readonly suspendedIn?: readonly Window[];
  /**
   * What it remembers from one schedule to the next, for a check that compares schedules. It is kept with a finding,
   * which can then be replayed; what a change of the kernel would make of it is not known, so none is tried.
   */
  readonly memory?: number[];
  /** After each step, on each CPU, at the boundary that the step led to. */
  boundary?(view: View): string | null;
  /** At a mark of the kernel's code. */
  mark?(view: View, id: number, argument: number): string | null;
  /** When an access to memory went through: also a CLWB, an instruction fetch and a locked addition. */
  access?(view: View, address: number, size: number): string | null;
  /**
   * When an operation was executed: its kind without flags, its operands, its result. For checks that no other
   * function can make, since it is asked often.
   */
  operation?(
    view: View,
    op: number,
    a: number,
    b: number,
    c: number,
    d: number,
    result: number,
  ): string | null;
  /** When an access is refused; `errorCode` is that of the #PF, `fixup` says that the exception tables have it. */
  fault?(view: View, errorCode: number, address: number, fixup: boolean): string | null;
  /** Cells that every handler leaves unchanged: compared when its exit has restored them. */
  readonly preserves?: readonly WatchedCell[];
  /** When every task has ended. */
  end?(view: View): string | null;
}

/** Declares an invariant; returns it unchanged. */
export function invariant(definition: Invariant): Invariant {
  return definition;
}

/** What a violated invariant remembers; null where it needs no memory. */
export function memoryOf(
  invariants: readonly Invariant[],
  violation: { readonly invariant: string },
): readonly number[] | null {
  return invariants.find(({ id }) => id === violation.invariant)?.memory?.slice() ?? null;
}

/** Makes an invariant of another setup remember the same. */
export function remember(
  invariants: readonly Invariant[],
  violation: { readonly invariant: string },
  memory: readonly number[] | null,
): void {
  const own = invariants.find(({ id }) => id === violation.invariant)?.memory;
  if (own !== undefined && memory !== null) own.splice(0, own.length, ...memory);
}
