// SPDX-License-Identifier: MIT
// Whether anybody is attached to a machine: the one thing that every operation asks first.

/**
 * Not null while any machine of this process has a hook or a journal.
 *
 * A static branch of the host: an operation asks this one variable, and only where it is set its own machine. So
 * most operations are short enough for V8 to inline them whatever surrounds them (27 bytes of bytecode), and what
 * is left of the question is one comparison with memory at a constant address. Null, because V8 tests for it in one
 * instruction, and for `false` in ten.
 */
export let watched: true | null = null;

let watchers = 0;

/** Counts machines that got (1) or lost (-1) somebody who is attached. */
export function countWatchers(by: number): void {
  watchers += by;
  watched = watchers > 0 ? true : null;
}
