// SPDX-License-Identifier: MIT
// Translation: TLB, walk, access rights, accessed and dirty bits.

import { type AccessMode, decideAccess, type RightsRegisters } from './access.ts';
import type { Cpu } from './cpu.ts';
import type { Machine } from './machine.ts';
import type { Chunk } from './memory.ts';
import { newWalk, PTE_A, PTE_D, type Walk, walkPage } from './paging.ts';
import { VECTOR_PF } from './registers.ts';
import {
  RIGHTS_SF,
  RIGHTS_SR,
  RIGHTS_SR_AC,
  RIGHTS_SW,
  RIGHTS_SW_AC,
  RIGHTS_UF,
  RIGHTS_UR,
  RIGHTS_USER_PAGE_SHIFT,
  RIGHTS_UW,
  TLB_MASK,
} from './tlb.ts';

const CHUNK_MASK = 0x1f_ffff;

export class Mmu {
  readonly #machine: Machine;
  readonly #walk: Walk = newWalk();
  /** Chunk of the last translation, and the page's byte offset in it. */
  chunk: Chunk | null = null;
  offset = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /**
   * Translates an address on the executing CPU: true with `chunk` and `offset` set (of the byte itself),
   * or false with `machine.fault` set.
   */
  translate(address: number, write: boolean): boolean {
    const cpu = this.#machine.cpu;
    const page = Math.floor(address / 4096);
    const tlb = cpu.tlb;
    let slot = page & TLB_MASK;
    if (tlb.tags[slot] !== page || !this.#hitAllows(cpu, tlb.rights[slot] as number, write)) {
      slot = this.#miss(cpu, page, address, write);
      if (slot < 0) return false;
    }
    this.chunk = tlb.chunks[slot] as Chunk;
    this.offset = (tlb.base[slot] as number) * 4 + (address - page * 4096);
    return true;
  }

  #hitAllows(cpu: Cpu, rights: number, write: boolean): boolean {
    if ((rights & (write ? cpu.writeWant : cpu.readWant)) === 0) return false;
    const register = cpu.keyRegister[(rights >>> RIGHTS_USER_PAGE_SHIFT) & 1] as number;
    return ((register >>> (rights & 31)) & (write ? cpu.writeDeny : 0b01)) === 0;
  }

  /** Walks, decides, sets A and D, fills the TLB; the slot, or -1 with the fault recorded. */
  #miss(cpu: Cpu, page: number, address: number, write: boolean): number {
    const machine = this.#machine;
    const walk = this.#walk;
    walkPage(machine.memory, machine.registers.cr3.values[cpu.index] as number, page, walk);
    const registers = this.rightsRegisters(cpu);
    const mode: AccessMode = machine.registers.cpl.values[cpu.index] === 3 ? 'user' : 'supervisor';
    const code = decideAccess(write ? 'write' : 'read', mode, walk, registers);
    if (code !== null) {
      const fault = machine.fault;
      fault.vector = VECTOR_PF;
      fault.errorCode = code;
      fault.address = address;
      cpu.tlb.invalidatePage(page);
      return -1;
    }
    this.#setAccessed(walk, write);
    const chunk = machine.memory.chunkAt(walk.frame);
    const base = (walk.frame % 0x20_0000) >>> 2;
    return cpu.tlb.fill(page, rightsOf(walk, registers), chunk, base, walk.level > 1, walk.global);
  }

  /** Locked or-s of the processor into the entries: part of the access, not an operation of software. */
  #setAccessed(walk: Walk, write: boolean): void {
    const { memory, journal } = this.#machine;
    for (let i = 0; i < walk.depth; i++) {
      const bits = i === walk.depth - 1 && write ? PTE_A | PTE_D : PTE_A;
      const address = walk.entries[i] as number;
      const chunk = memory.chunkAt(address);
      const at = (address & CHUNK_MASK) >>> 2;
      const low = chunk.words[at] as number;
      if ((low & bits) === bits) continue;
      journal?.bytes(chunk, at * 4, 4);
      chunk.words[at] = low | bits;
    }
    if (write) walk.dirty = true;
  }

  rightsRegisters(cpu: Cpu): RightsRegisters {
    const r = this.#machine.registers;
    const i = cpu.index;
    return {
      cr0: r.cr0.values[i] as number,
      cr4: r.cr4.values[i] as number,
      efer: r.efer.values[i] as number,
      ac: r.ac.values[i] === 1,
      pkru: r.pkru.values[i] as number,
      pkrs: r.pkrs.values[i] as number,
    };
  }
}

/** The rights word of a translation under the current controls, keys left out. */
function rightsOf(walk: Walk, registers: RightsRegisters): number {
  const open = { ...registers, pkru: 0, pkrs: 0 };
  const allows = (kind: 'read' | 'write' | 'fetch', mode: AccessMode, ac: boolean): boolean =>
    (kind !== 'write' || walk.dirty) && decideAccess(kind, mode, walk, { ...open, ac }) === null;
  let rights = (walk.key * 2) | (walk.user ? 1 << RIGHTS_USER_PAGE_SHIFT : 0);
  if (allows('read', 'supervisor', false)) rights |= RIGHTS_SR;
  if (allows('write', 'supervisor', false)) rights |= RIGHTS_SW;
  if (allows('fetch', 'supervisor', false)) rights |= RIGHTS_SF;
  if (allows('read', 'user', false)) rights |= RIGHTS_UR;
  if (allows('write', 'user', false)) rights |= RIGHTS_UW;
  if (allows('fetch', 'user', false)) rights |= RIGHTS_UF;
  if (allows('read', 'supervisor', true)) rights |= RIGHTS_SR_AC;
  if (allows('write', 'supervisor', true)) rights |= RIGHTS_SW_AC;
  return rights;
}
