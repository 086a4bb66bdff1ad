// SPDX-License-Identifier: MIT
// Replays cases of the conformance vectors on a machine: page tables in memory, TLB, access.

import { Machine } from './machine.ts';
import { FAULTED, Op } from './operation.ts';
import { HUGE_PAGE_SIZE, PTE_A, PTE_D } from './paging.ts';
import { VECTOR_PF } from './registers.ts';
import { ReplayEvents } from './replay-events.ts';
import type { VectorAccess } from './vector-access.ts';
import { CaseReader } from './vector-case.ts';
import { type CaseState, DATA_FRAME, SECOND_FRAME, tableOf } from './vector-state.ts';
import { ANY_FLAGS, VectorOutcome, type VectorSuite } from './vectors.ts';

/** Virtual address of the page under test; at the same offset of its 1 GiB as the frame. */
const REPLAY_PAGE: number = 0x1234 * HUGE_PAGE_SIZE + DATA_FRAME;
const CROSS_OFFSET = 0xffc;

/** What the machine did in a case, in the terms of a record. */
export interface ReplayResult {
  outcome: number;
  flags: number;
}

/** A machine that stands ready for the cases of one suite. */
export class Replayer {
  readonly reader: CaseReader;
  readonly machine: Machine;
  readonly #events: ReplayEvents;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #secondBytes: Uint8Array;
  /** Where the entry of each level lies. */
  readonly #entryAt: readonly number[] = [0, 1, 2, 3, 4, 5].map((level) =>
    wordIndex(REPLAY_PAGE / 4096, Math.max(level, 1)),
  );
  readonly #result: ReplayResult = { outcome: 0, flags: 0 };

  constructor(suite: VectorSuite) {
    this.reader = new CaseReader(suite);
    const machine = new Machine({
      memory: 16 * 1024 * 1024,
      features: { physicalAddressBits: suite.maxphyaddr },
    });
    this.machine = machine;
    if (this.reader.state.levels === 5) enableLa57(machine);
    machine.writeCr(3, tableOf(this.reader.state.levels));
    this.#words = machine.memory.chunkAt(0).words;
    this.#bytes = machine.memory.chunkAt(DATA_FRAME).bytes;
    this.#secondBytes = machine.memory.chunkAt(SECOND_FRAME).bytes;
    this.#events = new ReplayEvents(machine);
  }

  /** Runs one case. The result is reused. */
  run(index: number): ReplayResult {
    const { reader } = this;
    const changed = reader.read(index);
    const test = reader.state;
    if (changed) this.#setRegisters(test);
    this.#setEntries(test);
    if (test.access.action === 'segment') this.#setDescriptor(test.access);
    this.machine.registers.cpl.poke(0, test.access.cpl);
    this.#result.outcome = this.#act(test);
    this.#result.flags = this.#flags(test);
    return this.#result;
  }

  #setRegisters({ registers: wanted }: CaseState): void {
    const { registers } = this.machine;
    registers.cr0.poke(0, wanted.cr0);
    registers.cr4.poke(0, wanted.cr4);
    registers.efer.poke(0, wanted.efer);
    registers.ac.poke(0, wanted.ac ? 1 : 0);
    registers.pkru.poke(0, wanted.pkru);
    registers.pkrs.poke(0, wanted.pkrs);
  }

  /** Every entry anew, since the last case may have set its A and D; then INVLPG, as software must. */
  #setEntries(test: CaseState): void {
    const { entries, secondLeaf } = test;
    const page = REPLAY_PAGE / 4096;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      if (entry === undefined) continue;
      const at = this.#entryAt[entry.level] as number;
      this.#words[at] = entry.low;
      this.#words[at + 1] = entry.high;
    }
    const { tlb } = this.machine.cpu;
    tlb.invalidatePage(page);
    if (secondLeaf === null) return;
    const at = wordIndex(page + 1, 1);
    this.#words[at] = secondLeaf.low;
    this.#words[at + 1] = secondLeaf.high;
    tlb.invalidatePage(page + 1);
    this.#bytes.fill(0, CROSS_OFFSET, CROSS_OFFSET + 4);
    this.#secondBytes.fill(0, 0, 4);
  }

  #setDescriptor({ accessed }: VectorAccess): void {
    this.#bytes[5] = accessed ? 0x93 : 0x92;
  }

  /** Performs the access: byte 0 of the record. */
  #act(test: CaseState): number {
    const { action } = test.access;
    if (action === 'gate' || action === 'push') return this.#events.run(test.access, REPLAY_PAGE);
    const first = this.#access(test);
    if (first !== VectorOutcome.done || action === 'segment') return first;
    // The TLB holds the translation now: it must answer as the walk did.
    const again = this.#access(test);
    return again === first ? first : again;
  }

  #access(test: CaseState): number {
    const { machine } = this;
    const address = REPLAY_PAGE + (test.secondLeaf === null ? 0 : CROSS_OFFSET);
    const result = machine.execute(operationOf(test.access), address, 0, 1, 1);
    if (result !== FAULTED) return VectorOutcome.done;
    const { vector, errorCode } = machine.fault;
    return vector === VECTOR_PF
      ? VectorOutcome.pageFault + errorCode
      : VectorOutcome.generalProtection;
  }

  /** Byte 1 of the record. */
  #flags(test: CaseState): number {
    const page = REPLAY_PAGE / 4096;
    if (test.secondLeaf !== null) return this.#crossFlags(page);
    if (test.suite === 'implicit')
      return this.#leafFlags(wordIndex(page, 1)) | this.#addressFlags();
    if (this.#result.outcome !== VectorOutcome.done) return 0;
    const { entries } = test;
    let flags = this.#leafFlags(
      this.#entryAt[entries[entries.length - 1]?.level as number] as number,
    );
    for (let i = 0; i < entries.length - 1; i++) {
      const level = entries[i]?.level as number;
      if (((this.#words[this.#entryAt[level] as number] as number) & PTE_A) !== 0)
        flags |= 1 << level;
    }
    return flags;
  }

  #leafFlags(at: number): number {
    const low = this.#words[at] as number;
    return ((low & PTE_A) !== 0 ? 1 : 0) | ((low & PTE_D) !== 0 ? 2 : 0);
  }

  #crossFlags(page: number): number {
    const { outcome } = this.#result;
    const faulted = outcome !== VectorOutcome.done;
    const { address } = this.machine.fault;
    let flags =
      this.#leafFlags(wordIndex(page, 1)) | (this.#leafFlags(wordIndex(page + 1, 1)) << 2);
    if (faulted && address === REPLAY_PAGE + 4096) flags |= 1 << 4;
    if (faulted && address === REPLAY_PAGE + CROSS_OFFSET) flags |= 1 << 5;
    if (changed(this.#bytes, CROSS_OFFSET)) flags |= 1 << 6;
    if (changed(this.#secondBytes, 0)) flags |= 1 << 7;
    return flags;
  }

  /** Bits 6 and 7: the faulting address is not the expected one, nor in its page. */
  #addressFlags(): number {
    if (this.#result.outcome === VectorOutcome.done) return 0;
    const { address } = this.machine.fault;
    const expected = this.#events.expected(this.reader.state.access, REPLAY_PAGE);
    if (address === expected) return 0;
    const samePage = Math.floor(address / 4096) === Math.floor(expected / 4096);
    return (1 << 6) | (samePage ? 0 : 1 << 7);
  }
}

/** Index of a page's entry of a level among the words of the tables' chunk. */
function wordIndex(page: number, level: number): number {
  const index = Math.floor(page / 2 ** (9 * (level - 1))) & 0x1ff;
  return (tableOf(level) + index * 8) >>> 2;
}

/** Whether 4 bytes, 0 before, are not now. */
function changed(bytes: Uint8Array, at: number): boolean {
  return bytes[at] !== 0 || bytes[at + 1] !== 0 || bytes[at + 2] !== 0 || bytes[at + 3] !== 0;
}

/** The instruction of an access; all but fetches are of 8 bytes. */
function operationOf({ action, kind, readModifyWrite }: VectorAccess): number {
  if (action === 'segment') return Op.loadSegment;
  if (readModifyWrite) return Op.xadd64;
  if (kind === 'fetch') return Op.fetch;
  return kind === 'write' ? Op.store64 : Op.load64;
}

/**
 * Whether a machine's answer is the recorded one.
 *
 * The flags are what the emulators left behind: where both gave another outcome than the expected one, nobody saw
 * the flags that belong to it.
 */
export function agrees(
  suite: VectorSuite,
  index: number,
  { outcome, flags }: ReplayResult,
): boolean {
  const { records } = suite;
  const wanted = records[index * 3 + 1] as number;
  const deviation = records[index * 3 + 2] as number;
  if (records[index * 3] !== outcome) return false;
  const unseen = (deviation & 0xf) !== 0 && deviation >>> 4 !== 0;
  return wanted === flags || wanted === ANY_FLAGS || unseen;
}

/** The steps from RESET to 64-bit mode with 5-level paging. */
function enableLa57(machine: Machine): void {
  machine.reset(0);
  machine.writeCr(4, 0x1020); // LA57, PAE
  machine.wrmsr(0xc000_0080, 0x900); // LME, NXE
  machine.writeCr(0, 0x8001_0001); // PG, WP, PE
}
