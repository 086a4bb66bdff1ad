// SPDX-License-Identifier: MIT
// I5–I7, I15 and G: who may touch device memory, and when.

import { type Invariant, invariant, type View } from '@pkslab/explore';
import { type Kernel, Mark } from '@pkslab/kernel';
import { memremap } from '@pkslab/memremap';
import { formatAddress, PF_PK } from '@pkslab/x86-cpu';
import { type DeviceRange, GRANTING, hex, type Rights } from './rights.ts';

/**
 * I5 and G: a context without a grant must not be able to reach device memory. They look at the same states, in the
 * same windows; while another context holds a grant it is I5, which comes first in a list of checks, and else G.
 * Which of the two a search with ample sets names may depend on the order in which it goes; its verdict does not.
 */
export function openByGrantOnly(
  rights: Rights,
  device: DeviceRange,
): { readonly isPrivate: Invariant; readonly isNeeded: Invariant } {
  const shared = { looksAt: [rights.columns.msr], suspendedIn: GRANTING };
  const opened = (view: View): string | null => {
    const msr = rights.msr(view.cpu);
    if (view.grants > 0 || !rights.isOpen(msr)) return null;
    return `a ${view.frame} context without a grant runs with MSR ${hex(msr)}`;
  };
  const isPrivate = invariant({
    ...shared,
    id: 'I5',
    text: 'rights granted by one context are never usable by another',
    cells: [rights.cells.msr],
    boundary(view) {
      const message = opened(view);
      return message === null || !view.grantsElsewhere
        ? null
        : `${message} while another holds one`;
    },
  });
  const isNeeded = invariant({
    ...shared,
    id: 'G',
    text: 'an access outside any grant to a protected mapping faults',
    cells: [rights.cells.msr, rights.cells.count],
    boundary: opened,
    access(view, address, size) {
      if (view.grants > 0 || address + size <= device.address) return null;
      if (address >= device.address + device.size) return null;
      return `a ${view.frame} context without a grant reached ${formatAddress(address)}`;
    },
  });
  return { isPrivate, isNeeded };
}

export function countMatchesKey(rights: Rights): Invariant {
  return invariant({
    id: 'I6',
    text: 'count > 0 exactly while the device key is open in saved_pkrs; 0 at task exit',
    looksAt: [rights.columns.ref, rights.columns.saved],
    cells: [rights.cells.count, rights.cells.saved],
    suspendedIn: GRANTING,
    boundary(view) {
      if (view.frame !== 'task') return null;
      const count = rights.count(view);
      const saved = rights.saved(view.task);
      if (count === null || count > 0 === rights.isOpen(saved)) return null;
      return `task ${view.task}: count ${count}, saved_pkrs ${hex(saved)}`;
    },
    mark(view, id) {
      if (id !== Mark.exit || view.frame !== 'task') return null;
      const count = rights.count(view) ?? 0;
      return count === 0 ? null : `task ${view.task} exits with count ${count}`;
    },
  });
}

/** A grant is of the device key: faults on what carries another one are not spoken of. */
export function ownGrantNeverFaults(kernel: Kernel, rights: Rights): Invariant {
  const { pkey } = kernel.module(memremap).access;
  return invariant({
    id: 'I7',
    text: "an access between a context's own grant and revoke never faults",
    looksAt: [],
    cells: [rights.cells.msr, rights.cells.count],
    fault(view, errorCode, address) {
      if (view.grants === 0 || (errorCode & PF_PK) === 0) return null;
      if (kernel.mm.lookup(address).key !== pkey) return null;
      return `${view.frame} context with a grant got #PF 0x${errorCode.toString(16)}`;
    },
  });
}

/**
 * Which access a context had refused last is kept in a cell, so that it belongs to the explored state. An access with an
 * exception-table entry is left out: there a refusal ends it.
 */
export function handledMeansThrough(kernel: Kernel): Invariant {
  const { machine } = kernel;
  const refused = machine.column({
    name: 'explore.refused',
    type: 'address',
    initial: 0,
    per: 'object',
    count: machine.tasks * 2,
  });
  const place = (view: View): number => view.task * 2 + (view.frame === 'task' ? 0 : 1);
  return invariant({
    id: 'I15',
    text: 'after a fault is declared handled the same access is not refused again',
    looksAt: [],
    fault(view, errorCode, address, fixup) {
      if (fixup || (errorCode & PF_PK) === 0) return null;
      const at = place(view);
      if (refused.values[at] === address) {
        return `a fault at ${formatAddress(address)} was declared handled, and the access is refused again`;
      }
      refused.poke(at, address);
      return null;
    },
    access(view) {
      const at = place(view);
      if (refused.values[at] !== 0) refused.poke(at, 0);
      return null;
    },
  });
}
