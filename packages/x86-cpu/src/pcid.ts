// SPDX-License-Identifier: MIT
// Process-context identifiers: which translations a change of CR3 and INVPCID leave. Intel SDM Vol. 3A §4.10.1.

import type { Cpu } from './cpu.ts';
import { INFO_GLOBAL } from './tlb.ts';

/** Contexts besides the current one whose translations a TLB keeps; past it the oldest goes. */
const PARKED_CONTEXTS = 7;

/**
 * Makes another context current: its translations come back unless `flush`, the old one's are set aside. Global
 * ones belong to every context.
 */
export function switchContext(cpu: Cpu, from: number, to: number, flush: boolean): void {
  const { tlb, parked } = cpu;
  if (from === to) {
    if (flush) tlb.flush(false);
    return;
  }
  parked.set(
    from,
    tlb.entries().filter(({ info }) => (info & INFO_GLOBAL) === 0),
  );
  tlb.flush(false);
  const back = parked.get(to);
  parked.delete(to);
  if (back !== undefined && !flush) tlb.restore(back);
  for (const oldest of parked.keys()) {
    if (parked.size <= PARKED_CONTEXTS) break;
    parked.delete(oldest);
  }
}

/** Drops everything, global translations and other contexts included. */
export function flushAllContexts(cpu: Cpu): void {
  cpu.tlb.flush(true);
  cpu.parked.clear();
}

/** INVPCID types. SDM Vol. 2A, INVPCID. */
export const Invpcid = { address: 0, context: 1, allWithGlobal: 2, all: 3 } as const;

/** INVPCID of a valid type and descriptor; `current` is the running context. */
export function invalidateContext(
  cpu: Cpu,
  type: number,
  context: number,
  page: number,
  current: number,
): void {
  if (type === Invpcid.allWithGlobal) {
    flushAllContexts(cpu);
  } else if (type === Invpcid.all) {
    cpu.tlb.flush(false);
    cpu.parked.clear();
  } else if (type === Invpcid.context) {
    if (context === current) cpu.tlb.flush(false);
    else cpu.parked.delete(context);
  } else if (context === current) {
    cpu.tlb.invalidatePage(page);
  } else {
    dropParkedPage(cpu, context, page * 4096);
  }
}

function dropParkedPage(cpu: Cpu, context: number, address: number): void {
  const entries = cpu.parked.get(context);
  if (entries === undefined) return;
  const huge = Math.floor(address / 2 ** 30);
  const large = Math.floor(address / 2 ** 21);
  const survivors = entries.filter(({ tag, level }) => {
    if (level === 3) return Math.floor(tag / 2 ** 30) !== huge;
    return level === 2 ? Math.floor(tag / 2 ** 21) !== large : tag !== address;
  });
  cpu.parked.set(context, survivors);
}
