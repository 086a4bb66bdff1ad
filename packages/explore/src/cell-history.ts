// SPDX-License-Identifier: MIT
// A cell at the end of a schedule, and who changed it last.

import type { Column } from '@pkslab/x86-cpu';
import { cellName, hex } from './operation-text.ts';
import type { Recorder } from './recording.ts';
import { whereText } from './trace.ts';

/** A cell that an explanation speaks of, and who changed it last. */
export interface CellHistory {
  readonly cell: string;
  readonly value: string;
  /** The step of the trace that changed it, counted from 1; null if it is as it was at the start. */
  readonly step: number | null;
  /** Task and context of that step, and what it did. */
  readonly by: string | null;
  readonly operation: string | null;
  readonly function: string | null;
}

/** The history of one cell in what was recorded. */
export function historyOf(recorder: Recorder, column: Column, index: number): CellHistory {
  const step = recorder.lastWriter(column, index);
  const writer = step === null ? null : (recorder.steps[step] ?? null);
  return {
    cell: cellName(column, index),
    value: hex(column.values[index] as number),
    step: writer === null || step === null ? null : step + 1,
    by: writer === null ? null : whereText(writer),
    operation: writer?.text ?? null,
    function: writer?.function ?? null,
  };
}

/** `x is 1, changed last at step 3 by A: x := 1 in store.` */
export function historyText({
  cell,
  value,
  step,
  by,
  operation,
  function: name,
}: CellHistory): string {
  const who =
    step === null
      ? 'as it was at the start'
      : `changed last at step ${step} by ${by}: ${operation}${name === null ? '' : ` in ${name}`}`;
  return `${cell} is ${value}, ${who}.`;
}
