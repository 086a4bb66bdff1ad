// SPDX-License-Identifier: MIT
// The copies of a thread's rights, as those see them that save, restore or change them.

import type { Column, PerCpu } from '@pkslab/x86-cpu';
import type { Abandoned } from './abandon.ts';

/** What {@link Pkrs} is to its parts. */
export interface Copies {
  readonly saved: Column;
  readonly cache: PerCpu;
  readonly abandoned: Abandoned;
  /** The word of an entry's state that has the interrupted context's rights; −1 where none is kept. */
  readonly entryWord: number;
  readInit(): number;
  writePkrs(value: number): void;
}
