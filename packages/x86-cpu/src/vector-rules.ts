// SPDX-License-Identifier: MIT
// Conformance vectors against pure rules: for emulators that want to try theirs, and for mutants of ours.

import { type AccessKind, decideAccess, type RightsRegisters, type WalkRights } from './access.ts';
import {
  entryKey,
  entryReserved,
  type PagingFormat,
  PTE_P,
  PTE_RW,
  PTE_US,
  reservedHighBits,
} from './paging.ts';
import { EFER_NXE } from './registers.ts';
import { modeOf } from './vector-access.ts';
import type { VectorCase, VectorEntry } from './vector-state.ts';
import { VectorOutcome } from './vectors.ts';

/** Rules that vectors can be run against. */
export interface AccessRules {
  /** What a walk over entries, from the top level to the leaf, finds. */
  walk(entries: readonly VectorEntry[], format: PagingFormat): WalkRights;
  decide: typeof decideAccess;
}

/** What a walk over entries finds: those of `Walk`, without memory. */
export function walkEntries(entries: readonly VectorEntry[], format: PagingFormat): WalkRights {
  let writable = true;
  let user = true;
  let noExecute = false;
  let key = 0;
  for (const { low, high, level } of entries) {
    const present = (low & PTE_P) !== 0;
    const reserved = present && entryReserved(low, high, level, format);
    if (!present || reserved) {
      return { present, reserved, writable: false, user: false, noExecute: false, key: 0 };
    }
    writable &&= (low & PTE_RW) !== 0;
    user &&= (low & PTE_US) !== 0;
    noExecute ||= high >>> 31 === 1;
    key = entryKey(high);
  }
  return { present: true, reserved: false, writable, user, noExecute, key };
}

/** The manual's rules, as this package has them. */
export const sdmRules: AccessRules = { walk: walkEntries, decide: decideAccess };

/** Byte 0 that a record should have for a case, by the rules. */
export function outcomeByRules(test: VectorCase, rules: AccessRules = sdmRules): number {
  const { registers, access } = test;
  const format = formatOf(test);
  const walk = rules.walk(test.entries, format);
  const first = outcomeOf(rules, access.kind, test, walk, registers);
  if (first !== VectorOutcome.done) return first;
  if (access.action === 'segment' && !access.accessed) {
    return outcomeOf(rules, 'write', test, walk, registers);
  }
  if (test.secondLeaf === null) return first;
  const second = rules.walk([...test.entries.slice(0, -1), test.secondLeaf], format);
  return outcomeOf(rules, access.kind, test, second, registers);
}

function formatOf({ levels, maxphyaddr, registers }: VectorCase): PagingFormat {
  const reservedHigh = reservedHighBits(maxphyaddr, (registers.efer & EFER_NXE) !== 0);
  return { levels, reservedHigh, gigabytePages: true };
}

function outcomeOf(
  rules: AccessRules,
  kind: AccessKind,
  { access }: VectorCase,
  walk: WalkRights,
  registers: RightsRegisters,
): number {
  const code = rules.decide(kind, modeOf(access), walk, registers);
  return code === null ? VectorOutcome.done : VectorOutcome.pageFault + code;
}
