// SPDX-License-Identifier: MIT
// The catalogue.

import type { Scenario } from '@pkslab/explore';
import { kmapHandover } from './kmap-handover.ts';
import {
  everything,
  faultSleeps,
  handlerGrants,
  irqInSection,
  nmiInSection,
  preemptInSection,
} from './sections.ts';

/** Every scenario, smallest first. */
export const scenarios: readonly Scenario[] = Object.freeze([
  irqInSection,
  nmiInSection,
  preemptInSection,
  handlerGrants,
  faultSleeps,
  kmapHandover,
  everything,
]);
