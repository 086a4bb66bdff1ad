// SPDX-License-Identifier: MIT
// The machine as software uses it: one method for each instruction.

import { watched } from './attachment.ts';
import type { CellValues } from './cell.ts';
import type { Chunk } from './chunk.ts';
import { MachineCore } from './core.ts';
import { EXTABLE, FIXED_UP, Flush, NON_TEMPORAL, Op } from './operation.ts';
import { INFO_FLAGS, INFO_STORE, TLB_MASK } from './tlb.ts';
import {
  copyInPage,
  readInPage,
  writeBackInPage,
  writeInPage,
  writeInPageNonTemporal,
} from './transfer.ts';
import { retryAny, type SeenCell } from './waited-cells.ts';

/**
 * A simulated x86-64 machine.
 *
 * Software touches it by operations only (`load32`, `wrmsr`, columns of cells …). With `hook` null an
 * operation costs one null check; whoever attaches a hook sees each one and decides what happens before it.
 *
 * @example
 * const machine = new Machine();
 * machine.writeCr(4, machine.readCr(4) | CR4_PKS);
 * machine.wrmsr(IA32_PKRS, 0x55555554);
 * machine.rdmsr(IA32_PKRS).toString(16); // => '55555554'
 */
export class Machine extends MachineCore {
  /** The contents of two registers, for the instructions that kernel code executes most. */
  private readonly pkrsValues: CellValues = this.registers.pkrs.values;
  private readonly interruptFlags: CellValues = this.registers.interruptFlag.values;

  // ---- memory ----

  // A hit compares the page's address (its low 32 bits pick the slot), looks up the page's class among those
  // that are closed now, and takes the aligned word; anything else goes through `perform`.

  load32(address: number): number {
    const { cpu } = this;
    const low = address | 0;
    const slot = (low >>> 12) & TLB_MASK;
    const info = cpu.infos[slot] as number;
    // The shift counts modulo 32: the class is the low five bits of `info`.
    if (
      this.hook === null &&
      cpu.tags[slot] === address - (low & 0xfff) &&
      (((cpu.readDeny >>> info) & 1) | (low & 3)) === 0
    ) {
      const words = cpu.words[slot] as Int32Array;
      return (words[(info & ~INFO_FLAGS) | ((low >>> 2) & 0x3ff)] as number) >>> 0;
    }
    // Made a 32-bit integer here too, so that the compiler need not keep the result as a double.
    return this.operate(Op.load32, address, 0, 0, 0) >>> 0;
  }

  store32(address: number, value: number): void {
    const { cpu } = this;
    const low = address | 0;
    const slot = (low >>> 12) & TLB_MASK;
    const info = cpu.infos[slot] as number;
    if (
      this.hook === null &&
      cpu.tags[slot] === address - (low & 0xfff) &&
      (((cpu.writeDeny >>> info) & 1) | (low & 3)) === 0 &&
      (info & INFO_STORE) !== 0 &&
      this.journal === null
    ) {
      const words = cpu.words[slot] as Int32Array;
      words[(info & ~INFO_FLAGS) | ((low >>> 2) & 0x3ff)] = value;
      return;
    }
    this.operate(Op.store32, address, 0, value, 0);
  }

  load8(address: number): number {
    const { cpu } = this;
    const low = address | 0;
    const slot = (low >>> 12) & TLB_MASK;
    const info = cpu.infos[slot] as number;
    if (
      this.hook === null &&
      cpu.tags[slot] === address - (low & 0xfff) &&
      ((cpu.readDeny >>> info) & 1) === 0
    ) {
      const words = cpu.words[slot] as Int32Array;
      const word = words[(info & ~INFO_FLAGS) | ((low >>> 2) & 0x3ff)] as number;
      // A shift by 8 times the address counts modulo 32 as well.
      return (word >>> (low << 3)) & 0xff;
    }
    return this.operate(Op.load8, address, 0, 0, 0) & 0xff;
  }

  store8(address: number, value: number): void {
    this.operate(Op.store8, address, 0, value, 0);
  }

  load16(address: number): number {
    return this.operate(Op.load16, address, 0, 0, 0);
  }

  store16(address: number, value: number): void {
    this.operate(Op.store16, address, 0, value, 0);
  }

  load64(address: number): bigint {
    const { cpu } = this;
    const low = address | 0;
    const slot = (low >>> 12) & TLB_MASK;
    const info = cpu.infos[slot] as number;
    if (
      this.hook === null &&
      cpu.tags[slot] === address - (low & 0xfff) &&
      (((cpu.readDeny >>> info) & 1) | (low & 7)) === 0
    ) {
      const { quads } = cpu.tlb.chunks[slot] as Chunk;
      return quads[((info & ~INFO_FLAGS) >>> 1) | ((low >>> 3) & 0x1ff)] as bigint;
    }
    const result = this.operate(Op.load64, address, 0, 0, 0);
    return (BigInt(this.resultHigh >>> 0) << 32n) | BigInt(result >>> 0);
  }

  store64(address: number, value: bigint): void {
    const low = Number(value & 0xffff_ffffn);
    this.operate(Op.store64, address, 0, low, Number((value >> 32n) & 0xffff_ffffn));
  }

  /** `lock xadd`: adds to a 32-bit word and returns what it was. A write, as far as rights go. */
  xadd32(address: number, addend: number): number {
    return this.operate(Op.xadd32, address, 0, addend, 0);
  }

  /** Fetches an instruction byte. */
  fetch(address: number): number {
    return this.operate(Op.fetch, address, 0, 0, 0);
  }

  /** Copies within memory; checked page by page, one operation. `extable`: true where the fault was fixed up. */
  copy(to: number, from: number, length: number, extable = false): boolean {
    if (this.hook === null && copyInPage(this, to, from, length)) return false;
    return this.operate(extable ? Op.copy | EXTABLE : Op.copy, to, from, length, 0) === FIXED_UP;
  }

  fill(to: number, byte: number, length: number, extable = false): boolean {
    return this.operate(extable ? Op.fill | EXTABLE : Op.fill, to, byte, length, 0) === FIXED_UP;
  }

  /** Copies from memory into a host buffer (a device, a user process). */
  copyOut(from: number, into: Uint8Array, offset: number, length: number, flags = 0): boolean {
    if (this.hook === null && readInPage(this, from, into, offset, length)) return false;
    const handle = this.bufferHandle(into);
    return this.operate(Op.copyOut | flags, from, handle, length, offset) === FIXED_UP;
  }

  /** Copies from a host buffer into memory. */
  copyIn(to: number, source: Uint8Array, offset: number, length: number, flags = 0): boolean {
    if (this.hook === null && writeInPage(this, to, source, offset, length)) return false;
    const handle = this.bufferHandle(source);
    return this.operate(Op.copyIn | flags, to, handle, length, offset) === FIXED_UP;
  }

  /** A store whose instruction has an exception-table entry: true if it was refused and fixed up. */
  tryStore32(address: number, value: number): boolean {
    return this.operate(Op.store32 | EXTABLE, address, 0, value, 0) === FIXED_UP;
  }

  /** A load whose instruction has an exception-table entry: `FIXED_UP` if it was refused. */
  tryLoad32(address: number): number {
    return this.operate(Op.load32 | EXTABLE, address, 0, 0, 0);
  }

  /**
   * `movnti`, 4 bytes: a store past the caches, whose line is on its way to persistent media without a CLWB. It is
   * durable at the next SFENCE, and until then it may be lost; a line takes what was stored to it before with it, as
   * the caches evict it. Faults as a store. SDM Vol. 2B MOVNTI, Vol. 1 §10.4.6.2.
   *
   * @example
   * const written = [];
   * machine.memory.addRegion(2 ** 32, 4096, { read() {}, write: (offset) => void written.push(offset) });
   * const tables = new PageTables(machine, 0x10000);
   * tables.map(0x1000, 2 ** 32);
   * machine.writeCr(3, tables.root);
   * machine.movnti32(0x1040, 7);
   * written; // => []
   * machine.sfence();
   * written; // => [64]
   */
  movnti32(address: number, value: number): void {
    this.operate(Op.store32 | NON_TEMPORAL, address, 0, value, 0);
  }

  /** `movnti`, 8 bytes: as {@link Machine.movnti32}. */
  movnti64(address: number, value: bigint): void {
    const low = Number(value & 0xffff_ffffn);
    const high = Number((value >> 32n) & 0xffff_ffffn);
    this.operate(Op.store64 | NON_TEMPORAL, address, 0, low, high);
  }

  /**
   * Copies within memory past the caches, as `memcpy_flushcache` does: as {@link Machine.copy}, and the lines are on
   * their way to persistent media without a CLWB. They are durable at the next SFENCE. SDM Vol. 1 §10.4.6.2.
   */
  copyNonTemporal(to: number, from: number, length: number, extable = false): boolean {
    const kind = Op.copy | NON_TEMPORAL;
    return this.operate(extable ? kind | EXTABLE : kind, to, from, length, 0) === FIXED_UP;
  }

  /**
   * Copies from a host buffer into memory past the caches: as {@link Machine.copyIn}, and the lines are on their way to
   * persistent media without a CLWB. They are durable at the next SFENCE. SDM Vol. 1 §10.4.6.2.
   *
   * @example
   * const written = [];
   * machine.memory.addRegion(2 ** 32, 4096, { read() {}, write: (_offset, bytes) => void written.push(bytes.length) });
   * const tables = new PageTables(machine, 0x10000);
   * tables.map(0x1000, 2 ** 32);
   * machine.writeCr(3, tables.root);
   * machine.copyInNonTemporal(0x1000, new Uint8Array(100).fill(9), 0, 100);
   * machine.sfence();
   * written; // => [128]
   */
  copyInNonTemporal(
    to: number,
    source: Uint8Array,
    offset: number,
    length: number,
    flags = 0,
  ): boolean {
    if (this.hook === null && writeInPageNonTemporal(this, to, source, offset, length))
      return false;
    const kind = Op.copyIn | NON_TEMPORAL | flags;
    return this.operate(kind, to, this.bufferHandle(source), length, offset) === FIXED_UP;
  }

  /**
   * Writes back the lines of so many bytes and keeps them cached: they are on their way to persistent media, and durable
   * at the next SFENCE. Faults as a load. SDM Vol. 2A CLWB.
   */
  clwb(address: number, length: number): void {
    if (this.hook === null && writeBackInPage(this, address, length)) return;
    this.operate(Op.clwb, address, length, 0, 0);
  }

  /**
   * Writes back and evicts the lines of so many bytes: to persistence the same as {@link Machine.clwb}, durable at the
   * next SFENCE and not before. Faults as a load. SDM Vol. 2A CLFLUSHOPT.
   *
   * @example
   * const written = [];
   * machine.memory.addRegion(2 ** 32, 4096, { read() {}, write: (offset) => void written.push(offset) });
   * const tables = new PageTables(machine, 0x10000);
   * tables.map(0x1000, 2 ** 32);
   * machine.writeCr(3, tables.root);
   * machine.store32(0x1040, 7);
   * machine.clflushopt(0x1040, 4);
   * written; // => []
   * machine.sfence();
   * written; // => [64]
   */
  clflushopt(address: number, length: number): void {
    this.operate(Op.clwb, address, length, Flush.clflushopt, 0);
  }

  /**
   * Writes back and evicts the lines of so many bytes, as CPUs without CLFLUSHOPT do. Faults as a load. SDM Vol. 2A
   * CLFLUSH.
   *
   * Hardware orders it with stores and with other CLFLUSHes; here it needs an SFENCE as {@link Machine.clflushopt} does,
   * so that the model never claims more than the manual: software that relies on the order is reported falsely.
   */
  clflush(address: number, length: number): void {
    this.operate(Op.clwb, address, length, Flush.clflush, 0);
  }

  /** Orders stores: every line that is on its way reaches its media. SDM Vol. 2B SFENCE. */
  sfence(): void {
    if (this.hook === null) this.memory.fence();
    else this.operate(Op.sfence, 0, 0, 0, 0);
  }

  // ---- registers ----

  rdmsr(msr: number): number {
    return this.operate(Op.rdmsr, msr, 0, 0, 0);
  }

  wrmsr(msr: number, low: number, high = 0): void {
    const { cpu } = this;
    if (watched !== null || high !== 0 || msr !== cpu.directMsr) {
      this.writeMsr(msr, low, high);
    } else {
      const value = low >>> 0;
      this.pkrsValues[cpu.index] = value;
      cpu.derivePkrs(value);
    }
  }

  private writeMsr(msr: number, low: number, high: number): void {
    this.operate(Op.wrmsr, msr, 0, low, high);
  }

  readCr(number: number): number {
    return this.operate(Op.readCr, number, 0, 0, 0);
  }

  /** `keep`: bit 63 of a value for CR3, which leaves the TLB alone while CR4.PCIDE=1. */
  writeCr(number: number, value: number, keep = false): void {
    this.operate(Op.writeCr, number, 0, value, keep ? 1 : 0);
  }

  rdpkru(): number {
    return this.operate(Op.rdpkru, 0, 0, 0, 0);
  }

  wrpkru(value: number): void {
    this.operate(Op.wrpkru, 0, 0, value, 0);
  }

  /** Sets RFLAGS.AC: supervisor accesses to user pages are let through SMAP. */
  stac(): void {
    this.operate(Op.stac, 0, 0, 0, 0);
  }

  clac(): void {
    this.operate(Op.clac, 0, 0, 0, 0);
  }

  cli(): void {
    this.operate(Op.cli, 0, 0, 0, 0);
  }

  sti(): void {
    this.operate(Op.sti, 0, 0, 0, 0);
  }

  /** Saves IF and clears it. */
  pushfCli(): number {
    const { cpu, interruptFlags } = this;
    if (watched !== null || cpu.cpl === 3) return this.pushfCliSlow();
    const flag = interruptFlags[cpu.index] as number;
    interruptFlags[cpu.index] = 0;
    return flag;
  }

  private pushfCliSlow(): number {
    return this.operate(Op.pushfCli, 0, 0, 0, 0);
  }

  popfIf(interruptFlag: number): void {
    const { cpu } = this;
    if (watched !== null || cpu.cpl === 3) this.popfIfSlow(interruptFlag);
    else this.interruptFlags[cpu.index] = interruptFlag & 1;
  }

  private popfIfSlow(interruptFlag: number): void {
    this.operate(Op.popfIf, interruptFlag, 0, 0, 0);
  }

  /** Ends a handler: restores what the event saved, and unblocks NMIs where it ends one. */
  iret(saved: number, nmi: number): void {
    this.operate(Op.iret, saved, nmi, 0, 0);
  }

  /** SYSCALL: from user mode to CPL 0, interrupts off; `iret` with `SAVED_USER` is the way back. */
  syscall(): void {
    this.operate(Op.syscall, 0, 0, 0, 0);
  }

  invlpg(address: number): void {
    this.operate(Op.invlpg, address, 0, 0, 0);
  }

  /** INVPCID; the types are in `Invpcid`. */
  invpcid(type: number, context: number, address = 0): void {
    this.operate(Op.invpcid, type, context, address, 0);
  }

  /** Empties the TLB of the executing CPU, or of another one, as an IPI that is answered at once would. */
  flushTlb(global: boolean, cpu?: number): void {
    this.operate(Op.flushTlb, global ? 1 : 0, cpu === undefined ? 0 : cpu + 1, 0, 0);
  }

  /**
   * What a loop that read several cells says before it begins again: goes on once any of them is no longer what it
   * read. With one cell it is that column's `retry`.
   *
   * @example
   * const machine = new Machine();
   * const field = { type: 'u32', initial: 0, per: 'global' } as const;
   * const flag = machine.column({ name: 'flag', ...field });
   * const turn = machine.column({ name: 'turn', ...field, initial: 1 });
   * machine.retryAny({ column: flag, index: 0, seen: 0 }, { column: turn, index: 0, seen: 0 });
   * turn.get(0); // => 1
   */
  retryAny(...cells: readonly SeenCell[]): void {
    retryAny(this, cells);
  }

  /** Makes an event pending on a CPU: an interrupt vector, 2 for an NMI, 18 for a machine check. */
  sendIpi(cpu: number, vector: number): void {
    this.operate(Op.sendIpi, cpu, vector, 0, 0);
  }

  /** INIT and start-up IPI: the CPU starts anew, in 64-bit mode with this CR3, its PKRS and PKRU as they were. */
  startCpu(cpu: number, cr3: number): void {
    this.operate(Op.startCpu, cpu, cr3, 0, 0);
  }

  // ---- paging entries ----

  /** Reads a paging entry: the low half; the high half is in `resultHigh`. */
  readEntry(physical: number): number {
    return this.operate(Op.readEntry, physical, 0, 0, 0);
  }

  writeEntry(physical: number, low: number, high: number): void {
    this.operate(Op.writeEntry, physical, 0, low, high);
  }

  /** Writes a run of leaf entries whose frames ascend by the leaf's size. */
  fillEntries(physical: number, count: number, low: number, high: number): void {
    this.operate(Op.fillEntries, physical, count, low, high);
  }

  // ---- the rest ----

  /** Takes one of a chooser's alternatives, as one step. */
  choose(chooser: number, argument = 0): number {
    return this.operate(Op.choose, chooser, argument, 0, 0);
  }

  /** Marks the begin (1) or end (0) of a window that checkers know by its id. */
  mark(id: number, begin: number, argument = 0): void {
    if (watched !== null) this.markWatched(id, begin, argument);
  }

  private markWatched(id: number, begin: number, argument: number): void {
    const hook = this.hook;
    if (hook !== null) hook.operate(Op.mark, id, begin, argument, 0);
  }
}
