// SPDX-License-Identifier: MIT
// Why an access would fault: every level of a walk, and the rights that come of it under the current registers.

import {
  type AccessKind,
  type AccessMode,
  decideAccess,
  keyViolation,
  type RightsRegisters,
  type WalkRights,
} from './access.ts';
import type { MachineCore } from './core.ts';
import {
  entryKey,
  entryReserved,
  isLeaf,
  newWalk,
  type PagingFormat,
  PTE_A,
  PTE_D,
  PTE_G,
  PTE_P,
  PTE_PS,
  PTE_RW,
  PTE_US,
} from './paging.ts';
import { CR0_WP, CR4_SMAP, CR4_SMEP, EFER_NXE } from './registers.ts';
import { walkEntries } from './vector-rules.ts';
import { splitAddress } from './wide.ts';

/** One entry of a walk. */
export interface ExplainedEntry {
  readonly level: number;
  /** PML5E, PML4E, PDPTE, PDE or PTE. */
  readonly name: string;
  /** Physical address of the entry, 16 hex digits, where it is known. */
  readonly at: string | null;
  /** The entry, 16 hex digits. */
  readonly value: string;
  /** Names of the bits that are set, as the manual has them. */
  readonly bits: readonly string[];
  readonly key: number;
  readonly reserved: boolean;
  readonly leaf: boolean;
}

/** What one kind of access comes to. */
export interface ExplainedAccess {
  readonly kind: AccessKind;
  readonly mode: AccessMode;
  /** Error code of the #PF, or null where the access is allowed. */
  readonly errorCode: number | null;
  /** What stands in the way; empty where the access is allowed. */
  readonly reasons: readonly string[];
}

/** A walk, explained. */
export interface ExplainedWalk {
  /** 16 hex digits. */
  readonly address: string;
  readonly canonical: boolean;
  readonly entries: readonly ExplainedEntry[];
  /** Physical address that the address translates to, 16 hex digits, or null. */
  readonly physical: string | null;
  /** Bytes of the page, or 0. */
  readonly size: number;
  /** Whether PKRU or PKRS is looked at, or neither. */
  readonly register: 'PKRS' | 'PKRU' | null;
  readonly accesses: readonly ExplainedAccess[];
}

const NAMES = ['', 'PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'];
const hex16 = (value: bigint): string => BigInt.asUintN(64, value).toString(16).padStart(16, '0');

/** A walk that is to be explained: entries from the top level down, as far as they go. */
export interface WalkQuestion {
  readonly address: number | bigint | string;
  /** Each as a 64-bit value, with its physical address if that is known. */
  readonly entries: readonly { readonly value: bigint; readonly at: number | null }[];
  readonly format: PagingFormat;
  readonly registers: RightsRegisters;
}

/**
 * Explains what accesses to an address would come to on the executing CPU. Changes nothing.
 *
 * @example
 * const { accesses } = explainWalk(machine, '0xffff888000000000');
 * accesses[0]?.reasons; // => ['PML4E: P=0, no translation']
 */
export function explainWalk(
  machine: MachineCore,
  address: number | bigint | string,
): ExplainedWalk {
  const { format, rights } = machine.cpu;
  const { page } = splitAddress(address);
  const walk = newWalk();
  const canonical = isCanonical(page, format);
  if (canonical) machine.mmu.walk(page, walk);
  const entries = [...walk.entries.subarray(0, walk.depth)].map((at) => {
    const { quads } = machine.memory.chunkAt(at);
    return { at, value: quads[(at & 0x1f_ffff) >>> 3] as bigint };
  });
  return explainEntries({ address, entries, format, registers: rights });
}

/** Explains a walk from its entries alone, such as a kernel prints when it dies. */
export function explainEntries(question: WalkQuestion): ExplainedWalk {
  const { format, registers } = question;
  const { page, offset } = splitAddress(question.address);
  const canonical = isCanonical(page, format);
  const halves = question.entries.map(({ value }, i) => ({
    level: format.levels - i,
    low: Number(value & 0xffff_ffffn) | 0,
    high: Number(value >> 32n) | 0,
  }));
  const walk = walkEntries(halves, format);
  const entries = halves.map(({ level, low, high }, i) =>
    explainEntry(level, question.entries[i]?.at ?? null, low, high, format),
  );
  const leaf = entries[entries.length - 1];
  const mapped = canonical && walk.present && !walk.reserved && leaf?.leaf === true;
  const size = mapped ? 4096 * 512 ** (leaf.level - 1) : 0;
  const address = BigInt(page) * 4096n + BigInt(offset);
  return {
    address: hex16(address),
    canonical,
    entries,
    physical: mapped ? hex16(physicalOf(BigInt(`0x${leaf.value}`), BigInt(size), address)) : null,
    size,
    register: mapped && keysCount(registers, walk.user) ? (walk.user ? 'PKRU' : 'PKRS') : null,
    accesses: canonical ? explainAccesses(walk, entries, registers, format) : [],
  };
}

function isCanonical(page: number, { levels }: PagingFormat): boolean {
  const limit = levels === 5 ? 2 ** 44 : 2 ** 35;
  return page >= -limit && page < limit;
}

function physicalOf(entry: bigint, size: bigint, address: bigint): bigint {
  const frame = entry & 0xf_ffff_ffff_f000n & ~(size - 1n);
  return frame | (address & (size - 1n));
}

function explainEntry(
  level: number,
  at: number | null,
  low: number,
  high: number,
  format: PagingFormat,
): ExplainedEntry {
  const leaf = isLeaf(low, level);
  const bits = [
    [PTE_P, 'P'],
    [PTE_RW, 'R/W'],
    [PTE_US, 'U/S'],
    [PTE_A, 'A'],
    [leaf ? PTE_D : 0, 'D'],
    [level > 1 ? PTE_PS : 0, 'PS'],
    [leaf ? PTE_G : 0, 'G'],
  ] as const;
  const names = bits.filter(([mask]) => (low & mask) !== 0).map(([, name]) => name);
  const value = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  return {
    level,
    name: NAMES[level] as string,
    at: at === null ? null : hex16(BigInt(at)),
    value: hex16(value),
    bits: high >>> 31 === 1 ? [...names, 'NX'] : names,
    key: leaf ? entryKey(high) : 0,
    reserved: (low & PTE_P) !== 0 && entryReserved(low, high, level, format),
    leaf,
  };
}

function explainAccesses(
  walk: WalkRights,
  entries: readonly ExplainedEntry[],
  rights: RightsRegisters,
  format: PagingFormat,
): ExplainedAccess[] {
  const all: ExplainedAccess[] = [];
  for (const mode of ['supervisor', 'user'] as const) {
    for (const kind of ['read', 'write', 'fetch'] as const) {
      const errorCode = decideAccess(kind, mode, walk, rights);
      const reasons =
        errorCode === null ? [] : reasonsOf(kind, mode, walk, entries, rights, format);
      all.push({ kind, mode, errorCode, reasons });
    }
  }
  return all;
}

function reasonsOf(
  kind: AccessKind,
  mode: AccessMode,
  walk: WalkRights,
  entries: readonly ExplainedEntry[],
  rights: RightsRegisters,
  format: PagingFormat,
): string[] {
  const last = entries[entries.length - 1];
  const name = last?.name ?? 'CR3';
  if (!walk.present) return [`${name}: P=0, no translation`];
  if (walk.reserved) return [`${name}: ${reservedBits(last, format)}`];
  const without = (bit: string): string =>
    entries
      .filter(({ bits }) => !bits.includes(bit))
      .map((entry) => entry.name)
      .join(', ');
  const withBit = (bit: string): string =>
    entries
      .filter(({ bits }) => bits.includes(bit))
      .map((entry) => entry.name)
      .join(', ');
  const reasons: string[] = [];
  if (mode === 'user' && !walk.user) reasons.push(`U/S=0 in ${without('U/S')}: a supervisor page`);
  const obeysWrite = mode === 'user' || (rights.cr0 & CR0_WP) !== 0;
  if (kind === 'write' && !walk.writable && obeysWrite) {
    reasons.push(`R/W=0 in ${without('R/W')}${mode === 'user' ? '' : ', and CR0.WP=1'}`);
  }
  if (kind === 'fetch' && walk.noExecute && (rights.efer & EFER_NXE) !== 0) {
    reasons.push(`NX in ${withBit('NX')}`);
  }
  if (mode === 'supervisor' && walk.user) reasons.push(...accessPrevention(kind, rights));
  if (keyViolation(kind, mode, walk, rights)) reasons.push(keyReason(walk, rights));
  return reasons;
}

function accessPrevention(kind: AccessKind, rights: RightsRegisters): string[] {
  if (kind === 'fetch') {
    return (rights.cr4 & CR4_SMEP) !== 0 ? ['a user page, and CR4.SMEP=1'] : [];
  }
  const prevented = (rights.cr4 & CR4_SMAP) !== 0 && !rights.ac;
  return prevented ? ['a user page, CR4.SMAP=1 and RFLAGS.AC=0'] : [];
}

function keyReason({ user, key }: WalkRights, rights: RightsRegisters): string {
  const register = user ? 'PKRU' : 'PKRS';
  const pair = ((user ? rights.pkru : rights.pkrs) >>> (key * 2)) & 0b11;
  return `key ${key}: ${register}.${(pair & 1) !== 0 ? 'AD' : 'WD'}${key}=1`;
}

function reservedBits(entry: ExplainedEntry | undefined, format: PagingFormat): string {
  const value = BigInt(`0x${entry?.value ?? '0'}`);
  const fixed = BigInt(format.reservedHigh >>> 0) << 32n;
  const set: number[] = [];
  for (let bit = 63; bit >= 32; bit--) if (((value & fixed) >> BigInt(bit)) & 1n) set.push(bit);
  if (set.length > 0) return `reserved bit ${set.join(', ')} set`;
  if (entry?.leaf !== true) return 'reserved bit 7 (PS) set';
  return `reserved bits of a ${entry.level === 2 ? '2 MiB' : '1 GiB'} page's address set`;
}

/** Whether the register of a page's kind is looked at. */
function keysCount(rights: RightsRegisters, user: boolean): boolean {
  const probe = { present: true, reserved: false, writable: true, user, noExecute: false, key: 0 };
  return keyViolation('read', 'supervisor', probe, { ...rights, pkru: 1, pkrs: 1 });
}

/** An explained walk as text: a line an entry, a line an access. */
export function formatWalk(walk: ExplainedWalk): string {
  const lines = [
    `address   ${walk.address}${walk.canonical ? '' : '  not canonical: #GP(0), or #SS(0) through the stack'}`,
  ];
  for (const { name, at, value, bits, key, leaf, reserved } of walk.entries) {
    const more = `${leaf ? `  key ${key}` : ''}${reserved ? '  RESERVED BITS' : ''}`;
    lines.push(
      `${name.padEnd(6)}${at === null ? '' : ` @${at}`}  ${value}  ${bits.join(' ')}${more}`,
    );
  }
  if (walk.physical !== null) {
    lines.push(`physical  ${walk.physical}, page of ${walk.size} bytes`);
    lines.push(`key       by ${walk.register ?? 'no register: the CR4 bit is off'}`);
  }
  for (const { kind, mode, errorCode, reasons } of walk.accesses) {
    const answer =
      errorCode === null ? 'ok' : `#PF 0x${errorCode.toString(16)}: ${reasons.join('; ')}`;
    lines.push(`${mode.padEnd(10)} ${kind.padEnd(5)}  ${answer}`);
  }
  return `${lines.join('\n')}\n`;
}
