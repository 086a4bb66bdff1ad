// SPDX-License-Identifier: MIT
// The line on stderr that shows how far a search is.

import type { Io } from '../options.ts';
import type { SearchProgress } from './job.ts';

interface ProgressLine {
  update(progress: SearchProgress): void;
  end(): void;
}

/** A line on stderr once a search has taken two seconds. */
export function progressLine(io: Io, name: string): ProgressLine {
  let shown = false;
  return {
    update({ states, events, depth, seconds }) {
      if (seconds < 2) return;
      shown = true;
      const rate = Math.round(states / seconds / 1000);
      io.stderr(
        `\r${name}: ${events} events, ${states} states, ${rate} k/s, depth ${depth}, ${seconds.toFixed(0)} s   `,
      );
    },
    end() {
      if (shown) io.stderr('\n');
    },
  };
}
