// SPDX-License-Identifier: MIT
// The catalogue.

import type { Scenario } from '@pkslab/explore';
import { cpuReturns, irqInIdle, xenUpcall } from './cpus.ts';
import { irqInFault, nmiGrantsInSwitch, nmiInIrq, nmiInSwitch } from './entries.ts';
import { alias, allocRace, freedKeyMapped, handlerSecondKey, keyReuse, twoKeys } from './keys.ts';
import { kmapHandover } from './kmap-handover.ts';
import { commitBio, commitProtocol } from './power-failure.ts';
import {
  childSection,
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
import {
  daxCopyFaults,
  daxSupported,
  daxWriteback,
  detachUnderDax,
  detachUnderIo,
  pmemFlush,
  pmemStray,
  pmemWrite,
  writecacheStore,
} from './storage.ts';
import {
  execInSection,
  flaggedTask,
  kmapInAtomic,
  preemptedUpdates,
  surplusClose,
  yieldInSection,
} from './tasks.ts';
import {
  attachFirst,
  attachRace,
  attachSecond,
  detachLast,
  devdaxUnbind,
  freshCpus,
  kmapBesideSection,
  sectionsOnTwoCpus,
  unmapUnderPage,
} from './two-cpus.ts';

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
  childSection,
  attachFirst,
  detachLast,
  attachSecond,
  yieldInSection,
  flaggedTask,
  surplusClose,
  execInSection,
  nmiInSwitch,
  nmiGrantsInSwitch,
  nmiInIrq,
  irqInFault,
  preemptedUpdates,
  freshCpus,
  irqInIdle,
  cpuReturns,
  xenUpcall,
  twoKeys,
  handlerSecondKey,
  keyReuse,
  freedKeyMapped,
  alias,
  allocRace,
  attachRace,
  sectionsOnTwoCpus,
  kmapBesideSection,
  daxWriteback,
  daxSupported,
  writecacheStore,
  pmemFlush,
  kmapInAtomic,
  devdaxUnbind,
  unmapUnderPage,
  pmemStray,
  daxCopyFaults,
  pmemWrite,
  detachUnderDax,
  detachUnderIo,
  commitProtocol,
  commitBio,
  everything,
]);
