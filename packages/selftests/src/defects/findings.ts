// SPDX-License-Identifier: MIT
// What the catalogue finds in posted code and no reviewer reported. Each is explained in docs/findings.md.

import type { Behaviour } from './defect.ts';

const POSTED = ['rfc-v2', 'rfc-v3', 'v7', 'v10'] as const;

export const findingRows: readonly Behaviour[] = [
  {
    id: 'fork-inherits',
    name: 'a child starts with its parent’s open key',
    scenario: 'fork-in-section',
    had: POSTED,
    invariant: 'I11',
    events: 0,
    repair: 'fork-inherits',
  },
  {
    id: 'branch-flips',
    name: 'the static branch changes while a section is open',
    scenario: 'detach-last',
    had: ['rfc-v2', 'rfc-v3'],
    invariant: 'I6',
    events: 0,
    repair: 'branch-flips',
  },
  {
    id: 'handler-borrows',
    name: 'a handler’s section does nothing inside a task’s, and its access faults',
    scenario: 'handler-grants',
    had: ['rfc-v3', 'v7', 'v10'],
    invariant: 'I7',
    events: 1,
    repair: 'handler-borrows',
  },
  {
    id: 'compared-write',
    name: 'an entry between cache and register finds the cache equal, and runs with open rights',
    scenario: 'nmi-in-section',
    had: ['rfc-v3', 'v7', 'v10'],
    invariant: 'I3',
    events: 1,
    repair: 'compared-write',
  },
  {
    id: 'exec-keeps-register',
    name: 'exec resets the saved value, and leaves the register to the next switch',
    scenario: 'exec-in-section',
    had: POSTED,
    invariant: 'I2',
    events: 0,
    repair: 'exec-keeps-register',
  },
  {
    id: 'lockless-free',
    name: 'a free that is no atomic operation takes another driver’s key away',
    scenario: 'alloc-race',
    had: ['rfc-v3'],
    invariant: 'I9',
    events: 0,
    repair: 'lockless-free',
  },
  {
    id: 'relaxed-faults',
    name: 'relaxed mode lets the stray through, and the task keeps the key',
    scenario: 'stray-store',
    had: ['v7', 'v10'],
    invariant: 'I6',
    events: 0,
    repair: 'relaxed-faults',
  },
  {
    id: 'readwrite-of-dead-device',
    name: 'access is not opened for a device that is being killed, under the lock that keeps it',
    scenario: 'detach-under-dax',
    had: ['v7', 'v10'],
    invariant: 'I16',
    events: 1,
    repair: 'readwrite-of-dead-device',
  },
];
