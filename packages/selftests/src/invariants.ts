// SPDX-License-Identifier: MIT
// The rules of protection keys as checks: I1–I7, I11, I16 and G.

import { type Invariant, invariant, type View, type Window } from '@pkslab/explore';
import { type Kernel, Mark } from '@pkslab/kernel';
import { devPageAccessRefField, memremap } from '@pkslab/memremap';
import { INIT_PKRS_VALUE, pkrsCacheField, savedPkrsField } from '@pkslab/pks-core';
import { formatAddress, PF_PK } from '@pkslab/x86-cpu';

/** Where register, cache and saved value are being changed together. */
const CHANGING: readonly Window[] = ['update', 'switch', 'entry'];
/** And where the count and the key are. */
const GRANTING: readonly Window[] = [...CHANGING, 'grantUpdate'];

const COMPLAINTS = ['a WARN', 'an oops', 'a panic'];

/** Registers and cells that the rules speak of, read without an operation. */
interface Rights {
  /** IA32_PKRS of a CPU. */
  msr(cpu: number): number;
  cache(cpu: number): number;
  saved(task: number): number;
  ref(task: number): number;
  /** Whether the device key is open in a register value. */
  isOpen(value: number): boolean;
}

function rightsOf(kernel: Kernel): Rights {
  const { machine } = kernel;
  const { values: msr } = machine.registers.pkrs;
  const { values: cache } = machine.column(pkrsCacheField);
  const { values: saved } = machine.column(savedPkrsField);
  const { values: ref } = machine.column(devPageAccessRefField);
  const shift = kernel.module(memremap).access.pkey * 2;
  return {
    msr: (cpu) => msr[cpu] as number,
    cache: (cpu) => cache[cpu] as number,
    saved: (task) => saved[task] as number,
    ref: (task) => ref[task] as number,
    isOpen: (value) => ((value >>> shift) & 0b01) === 0,
  };
}

/** The addresses of protected device memory. */
export interface DeviceRange {
  readonly address: number;
  readonly size: number;
}

/** I1–I7, I11 and G for a booted kernel with a device key; I16 is {@link legalCalls}. */
export function pksInvariants(kernel: Kernel, device: DeviceRange): Invariant[] {
  const rights = rightsOf(kernel);
  return [
    cacheMatchesRegister(rights),
    registerMatchesSaved(rights),
    handlerStartsClosed(rights),
    handlerLeavesUnchanged(kernel),
    grantsArePrivate(rights),
    countMatchesKey(rights),
    ownGrantNeverFaults(),
    nothingOpenWithoutGrant(rights, device),
    newTaskStartsClosed(rights),
  ];
}

function cacheMatchesRegister(rights: Rights): Invariant {
  return invariant({
    id: 'I1',
    text: 'outside an open update, cache[cpu] == MSR[cpu]',
    suspendedIn: CHANGING,
    boundary(view) {
      const msr = rights.msr(view.cpu);
      const cache = rights.cache(view.cpu);
      return cache === msr ? null : `CPU ${view.cpu}: pkrs_cache ${hex(cache)}, MSR ${hex(msr)}`;
    },
  });
}

function registerMatchesSaved(rights: Rights): Invariant {
  return invariant({
    id: 'I2',
    text: 'in process context, MSR == saved_pkrs of the task',
    suspendedIn: CHANGING,
    boundary(view) {
      if (view.frame !== 'task') return null;
      const msr = rights.msr(view.cpu);
      const saved = rights.saved(view.task);
      return saved === msr ? null : `task ${view.task}: saved_pkrs ${hex(saved)}, MSR ${hex(msr)}`;
    },
  });
}

function handlerStartsClosed(rights: Rights): Invariant {
  return invariant({
    id: 'I3',
    text: 'the body of every handler starts with MSR = INIT',
    mark(view, id) {
      if (id !== Mark.handlerBody) return null;
      const msr = rights.msr(view.cpu);
      return msr === INIT_PKRS_VALUE
        ? null
        : `a handler (${view.frame}) starts with MSR ${hex(msr)}`;
    },
  });
}

function handlerLeavesUnchanged(kernel: Kernel): Invariant {
  const { machine } = kernel;
  return invariant({
    id: 'I4',
    text: 'a handler leaves MSR, saved_pkrs and count of the interrupted context unchanged',
    preserves: [
      { column: machine.registers.pkrs, index: (view: View) => view.cpu },
      { column: machine.column(savedPkrsField), index: (view: View) => view.task },
      { column: machine.column(devPageAccessRefField), index: (view: View) => view.task },
    ],
  });
}

/** Whether the running context could make a stray access now. */
function isOpenWithoutGrant(rights: Rights, view: View): boolean {
  if (view.grants > 0) return false;
  return rights.isOpen(rights.msr(view.cpu));
}

function grantsArePrivate(rights: Rights): Invariant {
  return invariant({
    id: 'I5',
    text: 'rights granted by one context are never usable by another',
    suspendedIn: GRANTING,
    boundary(view) {
      if (!isOpenWithoutGrant(rights, view) || !view.grantsElsewhere) return null;
      return `a ${view.frame} context without a grant runs with MSR ${hex(rights.msr(view.cpu))} while another holds one`;
    },
  });
}

function countMatchesKey(rights: Rights): Invariant {
  return invariant({
    id: 'I6',
    text: 'count > 0 exactly while the device key is open in saved_pkrs; 0 at task exit',
    suspendedIn: GRANTING,
    boundary(view) {
      if (view.frame !== 'task') return null;
      const ref = rights.ref(view.task);
      const saved = rights.saved(view.task);
      if (ref > 0 === rights.isOpen(saved)) return null;
      return `task ${view.task}: count ${ref}, saved_pkrs ${hex(saved)}`;
    },
    mark(view, id) {
      if (id !== Mark.exit || view.frame !== 'task' || rights.ref(view.task) === 0) return null;
      return `task ${view.task} exits with count ${rights.ref(view.task)}`;
    },
  });
}

function ownGrantNeverFaults(): Invariant {
  return invariant({
    id: 'I7',
    text: "an access between a context's own grant and revoke never faults",
    fault(view, errorCode) {
      if (view.grants === 0 || (errorCode & PF_PK) === 0) return null;
      return `a ${view.frame} context with a grant got #PF 0x${errorCode.toString(16)}`;
    },
  });
}

function nothingOpenWithoutGrant(rights: Rights, device: DeviceRange): Invariant {
  return invariant({
    id: 'G',
    text: 'an access outside any grant to a protected mapping faults',
    suspendedIn: GRANTING,
    boundary(view) {
      if (!isOpenWithoutGrant(rights, view)) return null;
      return `a ${view.frame} context without a grant runs with MSR ${hex(rights.msr(view.cpu))}`;
    },
    access(view, address, size) {
      if (view.grants > 0 || address + size <= device.address) return null;
      if (address >= device.address + device.size) return null;
      return `a ${view.frame} context without a grant reached ${formatAddress(address)}`;
    },
  });
}

function newTaskStartsClosed(rights: Rights): Invariant {
  return invariant({
    id: 'I11',
    text: 'a new task starts with saved_pkrs = INIT and count 0',
    mark(view, id) {
      if (id !== Mark.start) return null;
      const saved = rights.saved(view.task);
      const ref = rights.ref(view.task);
      if (saved === INIT_PKRS_VALUE && ref === 0) return null;
      return `task ${view.task} starts with saved_pkrs ${hex(saved)}, count ${ref}`;
    },
  });
}

/** I16, for a scenario all of whose calls are legal; deadlock is found by the search itself. */
export function legalCalls(): Invariant {
  return invariant({
    id: 'I16',
    text: 'no oops, panic, WARN or deadlock in a scenario whose calls are all legal',
    mark(view, id, argument) {
      if (id !== Mark.complaint) return null;
      return `${COMPLAINTS[argument] ?? 'a complaint'} in ${view.frame} context`;
    },
  });
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
