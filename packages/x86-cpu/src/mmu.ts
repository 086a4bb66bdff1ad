// SPDX-License-Identifier: MIT
// Translation: TLB, walk, access rights, accessed and dirty bits.

import { type AccessKind, type AccessMode, decideAccess, type WalkRights } from './access.ts';
import type { Chunk } from './chunk.ts';
import type { Cpu } from './cpu.ts';
import { newWalk, PTE_A, PTE_D, type Walk, walkPage } from './paging.ts';
import { PF_PK, VECTOR_GP, VECTOR_PF, VECTOR_SS } from './registers.ts';
import type { MachineState } from './state.ts';
import {
  INFO_CLASS,
  INFO_DIRTY,
  INFO_FLAGS,
  INFO_GLOBAL,
  INFO_KEY_SHIFT,
  INFO_NO_EXECUTE,
  INFO_STORE,
  INFO_USER,
  INFO_WRITABLE,
  PageLevel,
  TLB_MASK,
} from './tlb.ts';

const CHUNK_MASK = 0x1f_ffff;
const PHYSICAL_32 = 0x10_0000; // pages below 4 GiB
/** Page numbers of canonical addresses lie in ± these: 47 and 56 address bits. */
const CANONICAL_4 = 2 ** 35;
const CANONICAL_5 = 2 ** 44;

export class Mmu {
  readonly #state: MachineState;
  readonly #walk: Walk = newWalk();
  /** Chunk of the last translation, and the byte's offset in it. */
  chunk: Chunk | null = null;
  offset = 0;
  /** The access is through the stack segment: a non-canonical address is #SS. */
  stackAccess = false;

  constructor(state: MachineState) {
    this.#state = state;
  }

  /**
   * Translates an address for a load or store on the executing CPU: true with `chunk` and `offset` set (of the
   * byte itself), or false with `machine.fault` set.
   */
  translate(address: number, write: boolean): boolean {
    if (this.hit(address, write)) return true;
    const kind = write ? 'write' : 'read';
    return this.#miss(this.#state.cpu, Math.floor(address / 4096), address & 0xfff, kind, false);
  }

  /** The same where the TLB holds what allows the access; false, with nothing changed, if it does not. */
  hit(address: number, write: boolean): boolean {
    const { cpu } = this.#state;
    const { tlb } = cpu;
    const low = address | 0;
    const slot = (low >>> 12) & TLB_MASK;
    const within = low & 0xfff;
    const info = tlb.infos[slot] as number;
    if (tlb.tags[slot] === address - within && allows(cpu, info, write)) {
      this.chunk = tlb.chunks[slot] as Chunk;
      this.offset = (info & ~INFO_FLAGS) * 4 + within;
      return true;
    }
    const large = tlb.findLarge(address);
    if (large >= 0 && allows(cpu, tlb.largeInfos[large] as number, write)) {
      this.chunk = tlb.largeChunks[large] as Chunk;
      this.offset = address - (tlb.largeTags[large] as number);
      return true;
    }
    return false;
  }

  /** Translates any kind of access; the address is a page number and an offset in the page. */
  translatePage(page: number, offset: number, kind: AccessKind, implicit: boolean): boolean {
    const { cpu } = this.#state;
    const { tlb } = cpu;
    const tag = page * 4096;
    const slot = page & TLB_MASK;
    const info = tlb.infos[slot] as number;
    if (tlb.tags[slot] === tag && this.#heldAllows(cpu, info, kind, implicit) === null) {
      this.chunk = tlb.chunks[slot] as Chunk;
      this.offset = (info & ~INFO_FLAGS) * 4 + offset;
      return true;
    }
    const large = tlb.findLarge(tag);
    if (large >= 0) {
      const code = this.#heldAllows(cpu, tlb.largeInfos[large] as number, kind, implicit);
      if (code === null) {
        this.chunk = tlb.largeChunks[large] as Chunk;
        this.offset = tag - (tlb.largeTags[large] as number) + offset;
        return true;
      }
    }
    return this.#miss(cpu, page, offset, kind, implicit);
  }

  /** After a scalar access through a large entry: enters its 4 KiB piece, which the fast paths look at. */
  enterPiece(address: number): void {
    const { tlb } = this.#state.cpu;
    if (tlb.tags[(address / 4096) & TLB_MASK] === Math.floor(address / 4096) * 4096) return;
    const large = tlb.findLarge(address);
    if (large >= 0) tlb.fillPiece(address, large);
  }

  /** Whether a page's addresses are canonical; if not, the #GP or #SS of an access to `address` is recorded. */
  checkCanonical(page: number, address: number = page * 4096): boolean {
    const { cpu } = this.#state;
    if (!cpu.paging) return true;
    const limit = cpu.format.levels === 5 ? CANONICAL_5 : CANONICAL_4;
    if (page >= -limit && page < limit) return true;
    this.refuse(this.stackAccess ? VECTOR_SS : VECTOR_GP, address);
    return false;
  }

  /** Records a fault with error code 0; the address is that of a non-canonical operand. */
  refuse(vector: number, address = 0): void {
    const { fault } = this.#state;
    fault.vector = vector;
    fault.errorCode = 0;
    fault.address = address;
    fault.offset = 0;
  }

  /** Walks for a page under the executing CPU's registers; changes nothing. */
  walk(page: number, into: Walk): void {
    const { cpu, memory, registers } = this.#state;
    const cr3 = registers.cr3.values[cpu.index] as number;
    walkPage(memory, cr3 - (cr3 & 0xfff), page, into, cpu.format);
  }

  /** What the pure rule says of a TLB entry: null, or the error code. A clear D needs another walk for a write. */
  #heldAllows(cpu: Cpu, info: number, kind: AccessKind, implicit: boolean): number | null {
    const held = {
      present: true,
      reserved: false,
      writable: (info & INFO_WRITABLE) !== 0,
      user: (info & INFO_USER) !== 0,
      noExecute: (info & INFO_NO_EXECUTE) !== 0,
      key: (info & INFO_CLASS) >>> INFO_KEY_SHIFT,
    };
    const code = this.#decide(cpu, kind, implicit, held);
    return code === null && kind === 'write' && (info & INFO_DIRTY) === 0 ? -1 : code;
  }

  #decide(cpu: Cpu, kind: AccessKind, implicit: boolean, walk: WalkRights): number | null {
    const mode: AccessMode = implicit ? 'implicit' : cpu.user ? 'user' : 'supervisor';
    const code = decideAccess(kind, mode, walk, cpu.rights);
    if (code === null || this.#state.behaviours.keyBitOnSupervisorPage) return code;
    return mode === 'user' && !walk.user ? code & ~PF_PK : code;
  }

  /** The TLB holds nothing that allows the access: walks, decides, sets A and D, fills the TLB. */
  #miss(cpu: Cpu, page: number, offset: number, kind: AccessKind, implicit: boolean): boolean {
    if (!Number.isSafeInteger(page)) throw new RangeError(`page ${page}: not an address`);
    if (!this.checkCanonical(page, page * 4096 + offset)) return false;
    if (!cpu.paging) return this.#identity(page, offset);
    const stale = this.#state.behaviours.spuriousFaults
      ? this.#staleDenial(cpu, page, kind, implicit)
      : null;
    const walk = this.#walk;
    this.walk(page, walk);
    const code = stale ?? this.#decide(cpu, kind, implicit, walk);
    if (code !== null) return this.#pageFault(cpu, page, offset, code);
    const write = kind === 'write';
    this.#setAccessed(walk.depth, write);
    if (write) walk.dirty = true;
    this.#enter(cpu, page, offset);
    return true;
  }

  #identity(page: number, offset: number): boolean {
    const address = (page % PHYSICAL_32) * 4096 + offset;
    this.chunk = this.#state.memory.chunkAt(address);
    this.offset = address & CHUNK_MASK;
    return true;
  }

  /** The error code with which an entry held for the page refuses the access, null if there is none. */
  #staleDenial(cpu: Cpu, page: number, kind: AccessKind, implicit: boolean): number | null {
    const { tlb } = cpu;
    const slot = page & TLB_MASK;
    let info = -1;
    if (tlb.tags[slot] === page * 4096) info = tlb.infos[slot] as number;
    const large = tlb.findLarge(page * 4096);
    if (large >= 0) info = tlb.largeInfos[large] as number;
    if (info === -1) return null;
    const code = this.#heldAllows(cpu, info, kind, implicit);
    return code === -1 ? null : code;
  }

  #pageFault(cpu: Cpu, page: number, offset: number, code: number): boolean {
    const { fault, behaviours } = this.#state;
    if (behaviours.accessedOnFault) this.#setAccessed(this.#walk.depth - 1, false);
    const address = page * 4096 + offset;
    const exact = Number.isSafeInteger(address);
    fault.vector = VECTOR_PF;
    fault.errorCode = code;
    fault.address = exact ? address : page * 4096;
    fault.offset = exact ? 0 : offset;
    // SDM Vol. 3A §4.10.4.1: a page fault invalidates the translations of its address.
    cpu.tlb.invalidatePage(page);
    return false;
  }

  /** Locked or-s of the processor into the entries: part of the access, not an operation of software. */
  #setAccessed(depth: number, write: boolean): void {
    const { memory, journal } = this.#state;
    const walk = this.#walk;
    for (let i = 0; i < depth; i++) {
      const bits = i === depth - 1 && write ? PTE_A | PTE_D : PTE_A;
      const address = walk.entries[i] as number;
      const chunk = memory.chunkAt(address);
      const at = (address & CHUNK_MASK) >>> 2;
      const low = chunk.words[at] as number;
      if ((low & bits) === bits) continue;
      journal?.bytes(chunk, at * 4, 4);
      chunk.words[at] = low | bits;
    }
  }

  /** Fills the TLB from the walk and points `chunk` and `offset` at the byte. */
  #enter(cpu: Cpu, page: number, offset: number): void {
    const walk = this.#walk;
    const chunk = this.#state.memory.chunkAt(walk.frame);
    const start = walk.frame & CHUNK_MASK;
    let info = (walk.key << INFO_KEY_SHIFT) | (walk.user ? INFO_USER : 0);
    if (walk.writable) info |= INFO_WRITABLE;
    if (walk.dirty) info |= INFO_DIRTY;
    if (walk.writable && walk.dirty && chunk.dirty === null) info |= INFO_STORE;
    if (walk.noExecute) info |= INFO_NO_EXECUTE;
    if (walk.global && cpu.globalPages) info |= INFO_GLOBAL;
    const { tlb } = cpu;
    const tag = page * 4096;
    if (walk.level === PageLevel.small) tlb.fill(tag, info | (start >>> 2), chunk, walk.level);
    else tlb.fillLarge(tag - start, info, chunk, walk.level);
    this.chunk = chunk;
    this.offset = start + offset;
  }
}

function allows(cpu: Cpu, info: number, write: boolean): boolean {
  if (!write) return ((cpu.readDeny >>> (info & INFO_CLASS)) & 1) === 0;
  if ((info & INFO_DIRTY) === 0 || ((cpu.writeDeny >>> (info & INFO_CLASS)) & 1) !== 0)
    return false;
  return (info & INFO_WRITABLE) !== 0 || cpu.ignoresReadOnly;
}
