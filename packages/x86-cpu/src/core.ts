// SPDX-License-Identifier: MIT
// State and execution of a machine: columns of cells, operations, faults and events.

import { countWatchers } from './attachment.ts';
import { type Column, type FieldDefinition, makeColumn } from './cell.ts';
import { Cpu, LONG_MODE, NO_TABLE, type RegisterColumns } from './cpu.ts';
import { type CpuidResult, cpuid } from './cpuid.ts';
import { type Entered, enterEvent, saveFlags } from './delivery.ts';
import { executeOperation } from './execute.ts';
import {
  EndlessRetry,
  type EventHandlers,
  type Fault,
  Outcome,
  RETRIES_MAX,
  TripleFault,
} from './fault.ts';
import { PhysicalMemory } from './memory.ts';
import { Mmu } from './mmu.ts';
import {
  type Behaviours,
  type CpuFeatures,
  type CpuModelName,
  cpuModels,
  sdmBehaviours,
} from './model.ts';
import { EXTABLE, FAULTED, FIXED_UP, KIND_MASK, Op, type OperationHook } from './operation.ts';
import { flushAllContexts } from './pcid.ts';
import { acknowledgeEvent, deliverableEvent } from './pending.ts';
import {
  CR4_MCE,
  VECTOR_DF,
  VECTOR_GP,
  VECTOR_MC,
  VECTOR_NMI,
  VECTOR_PF,
  VECTOR_SS,
  VECTOR_UD,
} from './registers.ts';
import { initCpu, resetCpu } from './reset.ts';
import type { Chooser, Journal, MachineState } from './state.ts';
import type { TlbEntry } from './tlb.ts';
import { hasAnyChanged } from './waited-cells.ts';

export interface MachineOptions {
  /** 1 to 8; default 1. */
  readonly cpus?: number;
  /** Bytes of RAM; default 64 MiB. */
  readonly memory?: number;
  /** What the CPUs are; default `sapphire-rapids`. */
  readonly model?: CpuModelName | CpuFeatures;
  /** What differs from the model. */
  readonly features?: Partial<CpuFeatures>;
  /** What processors may do differently; default the manual's letter. */
  readonly behaviours?: Partial<Behaviours>;
  /** Capacity of per-task columns; default 64. */
  readonly tasks?: number;
}

/** Translations of every CPU, as {@link MachineCore.saveTlbs} gives them. */
export interface TlbSnapshot {
  readonly cpus: readonly {
    readonly current: readonly TlbEntry[];
    readonly parked: readonly (readonly [number, TlbEntry[]])[];
  }[];
}

/** State and execution; {@link Machine} adds the instructions by which software uses it. */
export class MachineCore implements MachineState {
  /** The executing CPU. */
  cpu: Cpu;
  readonly cpus: readonly Cpu[];
  readonly features: CpuFeatures;
  readonly behaviours: Behaviours;
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
  /** High half of the result of `load64`, `readEntry`, `rdmsr`. */
  resultHigh = 0;
  readonly fault: Fault = { vector: 0, errorCode: 0, address: 0, offset: 0 };
  /** Host buffers of `copyIn` and `copyOut` under way, by handle. */
  readonly buffers: Uint8Array[] = [];
  #nextBuffer = 0;
  readonly #byName = new Map<string, Column>();
  private attachedHook: OperationHook | null = null;
  private attachedJournal: Journal | null = null;

  constructor(options: MachineOptions = {}) {
    const count = options.cpus ?? 1;
    if (!Number.isInteger(count) || count < 1 || count > 8) {
      throw new RangeError(`cpus: ${count}; a machine has 1 to 8`);
    }
    this.features = { ...modelOf(options.model), ...options.features };
    this.behaviours = { ...sdmBehaviours, ...options.behaviours };
    this.tasks = options.tasks ?? 64;
    this.memory = new PhysicalMemory(options.memory ?? 64 * 1024 * 1024);
    this.waitFor = (kind) => {
      throw new Error(`operation ${kind} waits, and there is nobody to run meanwhile`);
    };
    this.switchStack = () => {
      throw new Error('switchStack: no scheduler is installed');
    };
    const cpus: Cpu[] = [];
    this.registers = this.#makeRegisters(count, cpus);
    for (let i = 0; i < count; i++) cpus.push(new Cpu(i, this.registers, this.features));
    for (const cpu of cpus) cpu.derive();
    this.cpus = cpus;
    this.cpu = cpus[0] as Cpu;
    this.mmu = new Mmu(this);
    this.memory.onEvict = (chunk) => {
      for (const cpu of cpus) {
        cpu.tlb.forget(chunk);
        cpu.parked.clear();
      }
    };
  }

  /** Whoever is attached, or null. */
  get hook(): OperationHook | null {
    return this.attachedHook;
  }

  set hook(hook: OperationHook | null) {
    this.#attach(hook, this.attachedJournal);
  }

  get journal(): Journal | null {
    return this.attachedJournal;
  }

  set journal(journal: Journal | null) {
    this.#attach(this.attachedHook, journal);
  }

  #attach(hook: OperationHook | null, journal: Journal | null): void {
    const before = this.attachedHook !== null || this.attachedJournal !== null ? 1 : 0;
    this.attachedHook = hook;
    this.attachedJournal = journal;
    countWatchers((hook !== null || journal !== null ? 1 : 0) - before);
  }

  #makeRegisters(count: number, cpus: readonly Cpu[]): RegisterColumns {
    const plain = (name: string, type: FieldDefinition['type'], initial: number): Column =>
      this.#add({ name, type, initial, per: 'cpu' }, count);
    const derived = (name: string, type: FieldDefinition['type'], initial: number): Column => {
      const column = plain(name, type, initial);
      column.changed = (index) => cpus[index]?.derive();
      return column;
    };
    const keys = (name: string): Column => {
      const column = plain(name, 'u32', 0);
      column.changed = (index) => cpus[index]?.deriveKeys();
      return column;
    };
    return {
      cr0: derived('cr0', 'u32', LONG_MODE.cr0),
      cr2: plain('cr2', 'address', 0),
      cr2Offset: plain('cr2.offset', 'u16', 0),
      cr3: plain('cr3', 'address', 0),
      cr4: derived('cr4', 'u32', LONG_MODE.cr4),
      efer: derived('efer', 'u32', LONG_MODE.efer),
      interruptFlag: plain('rflags.if', 'bool', 0),
      ac: derived('rflags.ac', 'bool', 0),
      cpl: derived('cpl', 'u8', 0),
      pkrs: keys('IA32_PKRS'),
      pkru: keys('pkru'),
      nmiBlocked: plain('nmi_blocked', 'bool', 0),
      idtr: plain('idtr', 'address', NO_TABLE),
      gdtr: plain('gdtr', 'address', NO_TABLE),
      tr: plain('tr', 'address', NO_TABLE),
      rsp: plain('rsp', 'address', NO_TABLE),
      pending: this.#add(
        { name: 'pending_events', type: 'u32', initial: 0, per: 'object' },
        count * 8,
      ),
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
    const column = makeColumn(this, this.columns.length, field, count);
    this.columns.push(column);
    this.#byName.set(field.name, column);
    return column;
  }

  /** What CPUID answers on the executing CPU. */
  cpuid(leaf: number, subleaf = 0): CpuidResult {
    const cr4 = this.registers.cr4.values[this.cpu.index] as number;
    return cpuid(this.features, leaf, subleaf, cr4);
  }

  // ---- operations ----

  /** Performs an operation through the hook, or at once. */
  operate(kind: number, a: number, b: number, c: number, d: number): number {
    const hook = this.hook;
    return hook === null ? this.perform(kind, a, b, c, d) : hook.operate(kind, a, b, c, d);
  }

  /**
   * Executes an operation without asking the hook; `FAULTED` if an access was refused (`fault` says why).
   *
   * An operation that would wait does not: ask {@link canExecute} first.
   */
  execute(kind: number, a: number, b: number, c: number, d: number): number {
    return executeOperation(this, kind, a, b, c, d);
  }

  /** Whether an operation that waits could go on now; true for every other. */
  canExecute(kind: number, a: number, b: number, c: number): boolean {
    // Asked before every step of a search, and most of them wait for nothing.
    if (kind < Op.lock) return true;
    if (kind === Op.lock) return this.columns[a]?.values[b] === 0;
    if (kind === Op.wait) return this.columns[a]?.values[b] === c;
    if (kind === Op.retry) return this.columns[a]?.values[b] !== c;
    if (kind === Op.retryAny) return hasAnyChanged(this.columns, a);
    return true;
  }

  /** Executes, and delivers the fault of a refused access until software has settled it. */
  perform(kind: number, a: number, b: number, c: number, d: number): number {
    for (let tries = 0; tries < RETRIES_MAX; tries++) {
      const result = executeOperation(this, kind, a, b, c, d);
      if (result !== FAULTED) return result;
      if (this.deliverFault((kind & EXTABLE) !== 0) === Outcome.fixup) return FIXED_UP;
    }
    throw new EndlessRetry(this.fault);
  }

  /** Executes an operation that may wait; with nobody attached, others run first if it must. */
  executeOrWait(kind: number, a: number, b: number, c: number, d: number): number {
    if (this.canExecute(kind & KIND_MASK, a, b, c)) return this.execute(kind, a, b, c, d);
    return this.waitFor(kind, a, b, c, d);
  }

  // ---- events ----

  /** Delivers `fault` on the executing CPU: the hardware's part, then software's handler. */
  deliverFault(fixup: boolean): number {
    if (this.handlers === null) throw new TripleFault({ ...this.fault });
    return this.#handle(enterEvent(this, this.fault), fixup);
  }

  /** Delivers an external interrupt; the caller has seen that IF is set. */
  deliverInterrupt(vector: number): void {
    this.#deliver(vector);
  }

  /** Delivers an NMI; the caller has seen that NMIs are not blocked. */
  deliverNmi(): void {
    this.registers.nmiBlocked.poke(this.cpu.index, 1);
    this.#deliver(VECTOR_NMI);
  }

  /** Delivers a machine check; with CR4.MCE=0 it shuts the machine down. SDM Vol. 3B §17.1. */
  deliverMachineCheck(): void {
    const fault = { vector: VECTOR_MC, errorCode: 0, address: 0 };
    if ((this.cpu.rights.cr4 & CR4_MCE) === 0) {
      throw new TripleFault(fault, 'a machine check while CR4.MCE=0: shutdown');
    }
    this.#deliver(VECTOR_MC);
  }

  /** Delivers what is pending on the executing CPU and not masked, one event; whether there was one. */
  deliverPending(): boolean {
    const { index } = this.cpu;
    const vector = deliverableEvent(this, index);
    if (vector < 0) return false;
    acknowledgeEvent(this, index, vector);
    if (vector === VECTOR_NMI) this.deliverNmi();
    else if (vector === VECTOR_MC) this.deliverMachineCheck();
    else this.deliverInterrupt(vector);
    return true;
  }

  /** The hardware's part of an event through an interrupt gate: IF is cleared, what IRET restores is returned. */
  pushFrame(): number {
    return saveFlags(this, false);
  }

  #deliver(vector: number): void {
    if (this.handlers === null) return;
    this.#handle(enterEvent(this, { vector, errorCode: 0, address: 0 }), false);
  }

  #handle(entered: Entered, fixup: boolean): number {
    const { vector, errorCode, address, saved } = entered;
    const handlers = this.handlers as EventHandlers;
    switch (vector) {
      case VECTOR_PF:
        return handlers.pageFault(errorCode, address, saved, fixup);
      case VECTOR_GP:
        return handlers.generalProtection(errorCode, saved, fixup, address);
      case VECTOR_SS:
        return handlers.stackFault === undefined
          ? handlers.generalProtection(errorCode, saved, fixup, address)
          : handlers.stackFault(errorCode, saved, fixup);
      case VECTOR_UD:
        if (handlers.invalidOpcode !== undefined) return handlers.invalidOpcode(saved);
        throw new TripleFault({ vector, errorCode, address }, 'and no #UD handler is installed');
      case VECTOR_DF:
        handlers.doubleFault?.(saved);
        throw new TripleFault(
          { vector, errorCode, address },
          'a double fault nobody ended: shutdown',
        );
      case VECTOR_NMI:
        handlers.nmi(saved);
        return Outcome.retry;
      case VECTOR_MC:
        handlers.machineCheck(saved);
        return Outcome.retry;
      default:
        handlers.interrupt(vector, saved);
        return Outcome.retry;
    }
  }

  // ---- CPUs ----

  /** RESET of a CPU: real mode, paging off, PKRS 0. */
  reset(index: number): void {
    resetCpu(this, index);
  }

  /** INIT of a CPU: as RESET, but PKRS and PKRU stay. */
  init(index: number): void {
    initCpu(this, index);
  }

  /** Empties every TLB: after memory or CR3 were put back by other means than operations. */
  flushAllTlbs(): void {
    for (const cpu of this.cpus) flushAllContexts(cpu);
  }

  /** What every TLB holds, to be put back by {@link restoreTlbs}. */
  saveTlbs(): TlbSnapshot {
    return {
      cpus: this.cpus.map((cpu) => ({
        current: cpu.tlb.entries(),
        parked: [...cpu.parked],
      })),
    };
  }

  restoreTlbs(snapshot: TlbSnapshot): void {
    this.flushAllTlbs();
    for (const [i, { current, parked }] of snapshot.cpus.entries()) {
      const cpu = this.cpus[i];
      if (cpu === undefined) throw new RangeError(`a TLB snapshot of ${i + 1} CPUs or more`);
      cpu.tlb.restore(current);
      for (const [context, entries] of parked) cpu.parked.set(context, entries);
    }
  }

  /** A handle by which an operation's operands name a host buffer. */
  protected bufferHandle(bytes: Uint8Array): number {
    const handle = this.#nextBuffer;
    this.#nextBuffer = (handle + 1) & 63;
    this.buffers[handle] = bytes;
    return handle;
  }
}

function modelOf(model: CpuModelName | CpuFeatures = 'sapphire-rapids'): CpuFeatures {
  if (typeof model !== 'string') return model;
  const features = cpuModels[model];
  if (features === undefined) {
    throw new RangeError(
      `model ${JSON.stringify(model)}: one of ${Object.keys(cpuModels).join(', ')}`,
    );
  }
  return features;
}
