// SPDX-License-Identifier: MIT
// The catalogue.

import type { Scenario } from '@pkslab/explore';
import { kmapHandover } from './kmap-handover.ts';
import {
  everything,
  faultSleeps,
  forkInSection,
  handlerGrants,
  irqInSection,
  nestedSections,
  nmiInSection,
  preemptInSection,
  strayStore,
} from './sections.ts';
import { attachFirst, attachSecond, detachLast } from './two-cpus.ts';

/** Every scenario, smallest first. */
export const scenarios: readonly Scenario[] = Object.freeze([
  irqInSection,
  nmiInSection,
  preemptInSection,
  handlerGrants,
  faultSleeps,
  kmapHandover,
  nestedSections,
  strayStore,
  forkInSection,
  attachFirst,
  detachLast,
  attachSecond,
  everything,
]);
