// SPDX-License-Identifier: MIT
// The catalogue.

import type { Scenario } from '@pkslab/explore';
import {
  attachFirst,
  attachRace,
  attachSecond,
  detachLast,
  devdaxUnbind,
  unmapUnderPage,
} from './attach.ts';
import { cpuReturns, hotplugBesideSection, irqInIdle, xenUpcall } from './cpus.ts';
import {
  irqInFault,
  machineCheckInSection,
  machineCheckInSwitch,
  nmiGrantsInSwitch,
  nmiInIrq,
  nmiInSwitch,
  softirqInSection,
} from './entries.ts';
import { freedKeyMapped, keyReuse, keyReuseInFault } from './key-reuse.ts';
import { alias, allocRace, handlerSecondKey, twoKeys } from './keys.ts';
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
  faultMigrates,
  freshCpus,
  kmapBesideSection,
  machineCheckInMigration,
  migrateInSection,
  sectionsOnTwoCpus,
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
  machineCheckInSection,
  machineCheckInSwitch,
  softirqInSection,
  irqInFault,
  preemptedUpdates,
  freshCpus,
  irqInIdle,
  cpuReturns,
  hotplugBesideSection,
  xenUpcall,
  twoKeys,
  handlerSecondKey,
  keyReuse,
  keyReuseInFault,
  freedKeyMapped,
  alias,
  allocRace,
  attachRace,
  sectionsOnTwoCpus,
  migrateInSection,
  machineCheckInMigration,
  faultMigrates,
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
