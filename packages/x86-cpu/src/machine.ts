// SPDX-License-Identifier: MIT
// The machine: CPUs over one physical memory, and the operations by which software touches them.

import { Column, type FieldDefinition, type PerCpu } from './cell.ts';
import { Cpu, LONG_MODE, type RegisterColumns } from './cpu.ts';
import { executeOperation } from './execute.ts';
import { type EventHandlers, type Fault, Outcome, TripleFault } from './fault.ts';
import { type Chunk, PhysicalMemory } from './memory.ts';
import { Mmu } from './mmu.ts';
import { EXTABLE, FAULTED, FIXED_UP, KIND_MASK, Op, type OperationHook } from './operation.ts';
import { RIGHTS_USER_PAGE_SHIFT, TLB_MASK } from './tlb.ts';

/** Receives what executed operations change, so that it can be undone or hashed. */
export interface Journal {
  cell(column: Column, index: number, old: number, value: number): void;
  /** Called before `length` bytes at an offset of a chunk change. */
  bytes(chunk: Chunk, offset: number, length: number): void;
}

/** A choice that software leaves open: an explorer tries every alternative, else the first is taken. */
export interface Chooser {
  alternatives(argument: number): readonly number[];
  /** Takes one; its effects go through `Column.poke`. */
  take(choice: number): void;
}

/** What the CPUs of a machine are. */
export interface CpuFeatures {
  readonly pks: boolean;
  readonly pku: boolean;
  /** MAXPHYADDR */
  readonly physicalAddressBits: number;
}

export interface MachineOptions {
  /** 1 to 8; default 1. */
  readonly cpus?: number;
  /** Bytes of RAM; default 64 MiB. */
  readonly memory?: number;
  readonly features?: Partial<CpuFeatures>;
  /** Capacity of per-task columns; default 64. */
  readonly tasks?: number;
}

const FEATURES: CpuFeatures = { pks: true, pku: true, physicalAddressBits: 46 };

/**
 * A simulated x86-64 machine.
 *
 * Software touches it by operations only (`load32`, `wrmsr`, columns of cells …). With `hook` null an
 * operation costs one null check; whoever attaches a hook sees each one and decides what happens before it.
 */
export class Machine {
  /** Whoever is attached, or null. */
  hook: OperationHook | null = null;
  journal: Journal | null = null;
  /** The executing CPU. */
  cpu: Cpu;
  readonly cpus: readonly Cpu[];
  readonly features: CpuFeatures;
  readonly memory: PhysicalMemory;
  readonly mmu: Mmu;
  readonly columns: Column[] = [];
  readonly registers: RegisterColumns;
  readonly tasks: number;
  /** What software installed for events. */
  handlers: EventHandlers | null = null;
  /** Runs others until an operation that waits can go on; installed by the kernel. */
  waitFor: (kind: number, a: number, b: number, c: number, d: number) => number;
  /** What software offers where it has a choice (which task is next), by the chooser's number. */
  readonly choosers: Chooser[] = [];
  /** Leaves the running stack for a task's; installed by the kernel. Returns when switched back. */
  switchStack: (task: number) => number;
  /** High half of the result of `load64` and `readEntry`. */
  resultHigh = 0;
  readonly fault: Fault = { vector: 0, errorCode: 0, address: 0 };
  /** Host buffers of `copyIn` and `copyOut` under way, by handle. */
  readonly buffers: Uint8Array[] = [];
  #nextBuffer = 0;
  readonly #byName = new Map<string, Column>();

  constructor(options: MachineOptions = {}) {
    const count = options.cpus ?? 1;
    if (!Number.isInteger(count) || count < 1 || count > 8) {
      throw new RangeError(`cpus: ${count}; a machine has 1 to 8`);
    }
    this.features = { ...FEATURES, ...options.features };
    this.tasks = options.tasks ?? 64;
    this.memory = new PhysicalMemory(options.memory ?? 64 * 1024 * 1024);
    this.mmu = new Mmu(this);
    this.waitFor = (kind) => {
      throw new Error(`operation ${kind} waits, and there is nobody to run meanwhile`);
    };
    this.switchStack = () => {
      throw new Error('switchStack: no scheduler is installed');
    };
    const cpus: Cpu[] = [];
    const register = (name: string, type: FieldDefinition['type'], initial: number): Column => {
      const column = this.#add({ name, type, initial, per: 'cpu' }, count);
      column.changed = (index) => cpus[index]?.derive();
      return column;
    };
    this.registers = {
      cr0: register('cr0', 'u32', LONG_MODE.cr0),
      cr2: register('cr2', 'address', 0),
      cr3: register('cr3', 'address', 0),
      cr4: register('cr4', 'u32', LONG_MODE.cr4),
      efer: register('efer', 'u32', LONG_MODE.efer),
      interruptFlag: register('rflags.if', 'bool', 0),
      ac: register('rflags.ac', 'bool', 0),
      cpl: register('cpl', 'u8', 0),
      pkrs: register('IA32_PKRS', 'u32', 0),
      pkru: register('pkru', 'u32', 0),
      nmiBlocked: register('nmi_blocked', 'bool', 0),
    };
    for (let i = 0; i < count; i++) cpus.push(new Cpu(i, this.registers));
    for (const cpu of cpus) cpu.derive();
    this.cpus = cpus;
    this.cpu = cpus[0] as Cpu;
    this.memory.onEvict = (chunk) => {
      for (const cpu of cpus) cpu.tlb.forget(chunk);
    };
  }

  /** The column of a field on this machine; made at the first call. */
  column(field: FieldDefinition): Column {
    const existing = this.#byName.get(field.name);
    if (existing !== undefined) {
      if (existing.field !== field) {
        throw new Error(`two fields are called ${field.name}: a name is a cell's identity`);
      }
      return existing;
    }
    const byOwner = { cpu: this.cpus.length, task: this.tasks, global: 1, page: 0, object: 0 };
    return this.#add(field, field.count ?? byOwner[field.per]);
  }

  #add(field: FieldDefinition, count: number): Column {
    const column = new Column(this, this.columns.length, field, count);
    this.columns.push(column);
    this.#byName.set(field.name, column);
    return column;
  }

  // ---- memory ----

  load32(address: number): number {
    const hook = this.hook;
    if (hook !== null) return hook.operate(Op.load32, address, 0, 0, 0);
    const cpu = this.cpu;
    const page = Math.floor(address / 4096);
    const offset = address - page * 4096;
    const tlb = cpu.tlb;
    const slot = page & TLB_MASK;
    if (tlb.tags[slot] === page && (offset & 3) === 0) {
      const rights = tlb.rights[slot] as number;
      const register = cpu.keyRegister[(rights >>> RIGHTS_USER_PAGE_SHIFT) & 1] as number;
      if ((rights & cpu.readWant) !== 0 && ((register >>> (rights & 31)) & 1) === 0) {
        const words = tlb.words[slot] as Int32Array;
        return (words[(tlb.base[slot] as number) + (offset >>> 2)] as number) >>> 0;
      }
    }
    return this.perform(Op.load32, address, 0, 0, 0);
  }

  store32(address: number, value: number): void {
    const hook = this.hook;
    if (hook !== null) hook.operate(Op.store32, address, 0, value, 0);
    else this.perform(Op.store32, address, 0, value, 0);
  }

  load8(address: number): number {
    return this.operate(Op.load8, address, 0, 0, 0);
  }

  store8(address: number, value: number): void {
    this.operate(Op.store8, address, 0, value, 0);
  }

  load64(address: number): bigint {
    const low = this.operate(Op.load64, address, 0, 0, 0);
    return (BigInt(this.resultHigh >>> 0) << 32n) | BigInt(low >>> 0);
  }

  store64(address: number, value: bigint): void {
    const low = Number(value & 0xffff_ffffn);
    this.operate(Op.store64, address, 0, low, Number((value >> 32n) & 0xffff_ffffn));
  }

  /** Copies within memory; checked page by page, one operation. `extable`: true where the fault was fixed up. */
  copy(to: number, from: number, length: number, extable = false): boolean {
    return this.operate(extable ? Op.copy | EXTABLE : Op.copy, to, from, length, 0) === FIXED_UP;
  }

  fill(to: number, byte: number, length: number, extable = false): boolean {
    return this.operate(extable ? Op.fill | EXTABLE : Op.fill, to, byte, length, 0) === FIXED_UP;
  }

  /** Copies from memory into a host buffer (a device, a user process). */
  copyOut(from: number, into: Uint8Array, offset: number, length: number, flags = 0): boolean {
    return this.operate(Op.copyOut | flags, from, this.#buffer(into), length, offset) === FIXED_UP;
  }

  /** Copies from a host buffer into memory. */
  copyIn(to: number, source: Uint8Array, offset: number, length: number, flags = 0): boolean {
    return this.operate(Op.copyIn | flags, to, this.#buffer(source), length, offset) === FIXED_UP;
  }

  /** A store whose instruction has an exception-table entry: true if it was refused and fixed up. */
  tryStore32(address: number, value: number): boolean {
    return this.operate(Op.store32 | EXTABLE, address, 0, value, 0) === FIXED_UP;
  }

  /** A load whose instruction has an exception-table entry: `FIXED_UP` if it was refused. */
  tryLoad32(address: number): number {
    return this.operate(Op.load32 | EXTABLE, address, 0, 0, 0);
  }

  clwb(address: number, length: number): void {
    this.operate(Op.clwb, address, length, 0, 0);
  }

  sfence(): void {
    this.operate(Op.sfence, 0, 0, 0, 0);
  }

  // ---- registers ----

  rdmsr(msr: number): number {
    return this.operate(Op.rdmsr, msr, 0, 0, 0);
  }

  wrmsr(msr: number, low: number, high = 0): void {
    this.operate(Op.wrmsr, msr, 0, low, high);
  }

  readCr(number: number): number {
    return this.operate(Op.readCr, number, 0, 0, 0);
  }

  writeCr(number: number, value: number): void {
    this.operate(Op.writeCr, number, 0, value, 0);
  }

  cli(): void {
    this.operate(Op.cli, 0, 0, 0, 0);
  }

  sti(): void {
    this.operate(Op.sti, 0, 0, 0, 0);
  }

  /** Saves IF and clears it. */
  pushfCli(): number {
    return this.operate(Op.pushfCli, 0, 0, 0, 0);
  }

  popfIf(interruptFlag: number): void {
    this.operate(Op.popfIf, interruptFlag, 0, 0, 0);
  }

  /** Ends a handler: restores IF, and unblocks NMIs where it ends one. */
  iret(interruptFlag: number, nmi: number): void {
    this.operate(Op.iret, interruptFlag, nmi, 0, 0);
  }

  invlpg(address: number): void {
    this.operate(Op.invlpg, address, 0, 0, 0);
  }

  flushTlb(global: boolean): void {
    this.operate(Op.flushTlb, global ? 1 : 0, 0, 0, 0);
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
    const hook = this.hook;
    if (hook !== null) hook.operate(Op.mark, id, begin, argument, 0);
  }

  /** Performs an operation through the hook, or at once. */
  operate(kind: number, a: number, b: number, c: number, d: number): number {
    const hook = this.hook;
    return hook === null ? this.perform(kind, a, b, c, d) : hook.operate(kind, a, b, c, d);
  }

  /**
   * Executes an operation without asking the hook; `FAULTED` if an access was refused (`fault` says why).
   *
   * An operation that would wait is refused with `undefined` state: ask {@link canExecute} first.
   */
  execute(kind: number, a: number, b: number, c: number, d: number): number {
    return executeOperation(this, kind, a, b, c, d);
  }

  /** Whether an operation that waits could go on now; true for every other. */
  canExecute(kind: number, a: number, b: number, c: number): boolean {
    if (kind === Op.lock) return this.columns[a]?.values[b] === 0;
    if (kind === Op.wait) return this.columns[a]?.values[b] === c;
    return true;
  }

  /** Executes, and delivers the fault of a refused access until software has settled it. */
  perform(kind: number, a: number, b: number, c: number, d: number): number {
    for (;;) {
      const result = executeOperation(this, kind, a, b, c, d);
      if (result !== FAULTED) return result;
      if (this.deliverFault((kind & EXTABLE) !== 0) === Outcome.fixup) return FIXED_UP;
    }
  }

  /** Executes an operation that may wait; with nobody attached, others run first if it must. */
  executeOrWait(kind: number, a: number, b: number, c: number, d: number): number {
    if (this.canExecute(kind & KIND_MASK, a, b, c)) return this.execute(kind, a, b, c, d);
    return this.waitFor(kind, a, b, c, d);
  }

  /** Delivers `fault` on the executing CPU: the hardware's push, then software's handler. */
  deliverFault(fixup: boolean): number {
    const { vector, errorCode, address } = this.fault;
    const handlers = this.handlers;
    if (handlers === null) throw new TripleFault({ ...this.fault });
    const flag = this.pushFrame();
    if (vector === 14) {
      this.registers.cr2.poke(this.cpu.index, address);
      return handlers.pageFault(errorCode, address, flag, fixup);
    }
    return handlers.generalProtection(errorCode, flag, fixup);
  }

  /** Delivers an external interrupt; the caller has seen that IF is set. */
  deliverInterrupt(vector: number): void {
    this.handlers?.interrupt(vector, this.pushFrame());
  }

  /** Delivers an NMI; the caller has seen that NMIs are not blocked. */
  deliverNmi(): void {
    const flag = this.pushFrame();
    this.registers.nmiBlocked.poke(this.cpu.index, 1);
    this.handlers?.nmi(flag);
  }

  /** The hardware's part of an event through an interrupt gate: IF is cleared, the old IF returned. */
  pushFrame(): number {
    const column = this.registers.interruptFlag;
    const flag = column.values[this.cpu.index] as number;
    column.poke(this.cpu.index, 0);
    return flag;
  }

  #buffer(bytes: Uint8Array): number {
    const handle = this.#nextBuffer;
    this.#nextBuffer = (handle + 1) & 63;
    this.buffers[handle] = bytes;
    return handle;
  }
}

export type { PerCpu };
