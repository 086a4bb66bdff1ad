// SPDX-License-Identifier: MIT
// Functions that modules have run once at boot, level by level. include/linux/init.h

/** Levels of initcalls, in the order in which they run: `early` before the other CPUs come up, the rest after. */
export const INITCALL_LEVELS = ['early', 'core', 'arch', 'subsys', 'device', 'late'] as const;

export type InitcallLevel = (typeof INITCALL_LEVELS)[number];

/** The initcalls of a kernel, by level. */
export class Initcalls {
  readonly #calls = new Map<InitcallLevel, (() => void)[]>();

  add(level: InitcallLevel, fn: () => void): void {
    const calls = this.#calls.get(level) ?? [];
    calls.push(fn);
    this.#calls.set(level, calls);
  }

  /** do_initcall_level */
  run(level: InitcallLevel): void {
    for (const call of this.#calls.get(level) ?? []) call();
  }
}
