// SPDX-License-Identifier: MIT
// I16: legal calls lead to no complaint.

import { type Invariant, invariant } from '@pkslab/explore';
import { Mark } from '@pkslab/kernel';

const COMPLAINTS = ['a WARN', 'an oops', 'a panic'];

/**
 * I16, for a scenario all of whose calls are legal, or all of these tasks' calls; deadlock is found by the search itself.
 */
export function legalCalls(tasks?: readonly number[]): Invariant {
  return invariant({
    id: 'I16',
    text: 'no oops, panic, WARN or deadlock in a scenario whose calls are all legal',
    looksAt: [],
    mark(view, id, argument) {
      if (id !== Mark.complaint || tasks?.includes(view.task) === false) return null;
      return `${COMPLAINTS[argument] ?? 'a complaint'} in ${view.frame} context`;
    },
  });
}
