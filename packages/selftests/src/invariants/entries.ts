// SPDX-License-Identifier: MIT
// I14: where the code that saves and restores rights may run.

import { type Invariant, invariant } from '@pkslab/explore';
import { type Kernel, Mark } from '@pkslab/kernel';

const INSTRUMENTATION: number = 1 << Mark.instrumentation;

/** For scenarios that interrupt a CPU which RCU does not watch: the idle loop. */
export function savesWhileWatched(kernel: Kernel): Invariant {
  const nesting = kernel.rcu.nesting.column;
  return invariant({
    id: 'I14',
    text: 'save and restore code runs only while RCU is watching and instrumentation is allowed',
    looksAt: [nesting],
    mark(view, id, argument) {
      if (id !== Mark.savesState) return null;
      const what = argument === 0 ? 'saved' : 'restored';
      if (nesting.values[view.cpu] === 0)
        return `state is ${what} on CPU ${view.cpu}, which RCU does not watch`;
      if ((view.windows & INSTRUMENTATION) !== 0) return null;
      return `state is ${what} where nothing may be traced`;
    },
  });
}
