// SPDX-License-Identifier: MIT
// What the users of a revision write around a touch of device memory, and the tasks of a scenario.

import type { Budget, Setup } from '@pkslab/explore';
import type { Kernel } from '@pkslab/kernel';
import { FAULTABLE, Op, PAGE_SIZE } from '@pkslab/x86-cpu';
import { type DeviceRange, legalCalls, pksInvariants } from '../invariants.ts';
import type { SmallStack } from './small-stack.ts';

export const NO_EVENTS: Budget = { irq: 0, nmi: 0, preempt: 0, pageFault: 0 };
export const IRQ_VECTOR = 0x20;
/** A user address: touching it may need a page fault first. */
export const USER_BUFFER = 0x1000;

/** A section: between the two calls its context may use the device's first page. */
export interface Section {
  /** Gives the page's address. */
  open(): number;
  close(): void;
}

/**
 * The section that ordinary users of the booted revision write around a page of the device: kmap, or what came in its
 * place where kmap of a protected page gives no access, or gives it to everybody.
 */
export function section({
  kernel,
  kmap,
  pfn,
}: Pick<SmallStack, 'kernel' | 'kmap' | 'pfn'>): Section {
  const address = kernel.mm.directAddress(pfn * PAGE_SIZE);
  const policy = kernel.choice('kmapPolicy');
  if (policy === 'flagged' || policy === 'unsupported') {
    return { open: () => kmap.kmapLocalPage(pfn), close: () => kmap.kunmapLocal(address) };
  }
  if (policy === 'global') {
    const open = (): number => {
      kmap.kmapThread(pfn);
      return address;
    };
    return { open, close: () => kmap.kunmapThread(pfn) };
  }
  return { open: () => kmap.kmap(pfn), close: () => kmap.kunmap(pfn) };
}

/** What most tasks do: open, store, close. */
export function storeOnce(stack: SmallStack): () => void {
  const { machine } = stack.kernel;
  const { open, close } = section(stack);
  return () => {
    const address = open();
    machine.store32(address, 1);
    close();
  };
}

/** The same in a task that is switched out in the middle of it. */
export function storeAfterYield(stack: SmallStack): () => void {
  const { machine, sched } = stack.kernel;
  const { open, close } = section(stack);
  return () => {
    const address = open();
    sched.yield();
    machine.store32(address, 1);
    close();
  };
}

/** copy_from_user straight into the device, as DAX writes do: the copy may fault and sleep. */
export function copyFromUser(stack: SmallStack): () => void {
  const { machine } = stack.kernel;
  const { open, close } = section(stack);
  return () => {
    const address = open();
    machine.operate(Op.store32 | FAULTABLE, address, USER_BUFFER, 3, 0);
    close();
  };
}

/** A handler that opens the device for itself, as a driver's completion does. */
export function handlerSection({ kernel, memremap, address }: SmallStack): () => void {
  return () => {
    memremap.access.enable();
    kernel.machine.store32(address, 2);
    memremap.access.disable();
  };
}

type Call = () => void;

/** What a task does: one call, or several, each of them a system call or program of its own. */
type Calls = Call | readonly Call[];

/** Tasks that use a device, all of whose calls are legal. */
export function legalSetup(kernel: Kernel, device: DeviceRange, tasks: readonly number[]): Setup {
  const invariants = [...pksInvariants(kernel, device), legalCalls()];
  return { kernel, tasks, invariants, vectors: [IRQ_VECTOR] };
}

/** Tasks A, B …, all of whose calls are legal. */
export function legalTasks(stack: SmallStack, ...all: readonly Calls[]): Setup {
  const { kernel } = stack;
  const tasks = all.map((calls, i) =>
    kernel.spawn(String.fromCharCode(65 + i), ...(typeof calls === 'function' ? [calls] : calls)),
  );
  return legalSetup(kernel, stack, tasks);
}

/**
 * The same where a call is a caller's bug: a complaint about it is welcome. Everything else must hold: above all, that
 * nobody else gets the rights.
 */
export function unlawfulTasks(stack: SmallStack, ...all: readonly Calls[]): Setup {
  const setup = legalTasks(stack, ...all);
  return { ...setup, invariants: setup.invariants.filter(({ id }) => id !== 'I16') };
}
