// SPDX-License-Identifier: MIT
// WARN, oops and panic, in Linux's words. kernel/panic.c, arch/x86/kernel/dumpstack.c, arch/x86/mm/fault.c

import {
  type Column,
  type FieldDefinition,
  formatAddress,
  type Machine,
  PerCpu,
  PF_I,
  PF_P,
  PF_PK,
  PF_RSVD,
  PF_U,
  PF_W,
} from '@pkslab/x86-cpu';
import { hostFrames, kernelFrames, type SymbolNames } from './backtrace.ts';
import { KernelPanic } from './kernel-error.ts';
import { Complaint, Mark } from './mark.ts';
import type { KernelMappings } from './mm.ts';
import { INTERRUPT_MASK, type Preempt } from './preempt.ts';
import type { PrintkRing } from './printk.ts';
import type { Scheduler } from './sched.ts';
import type { Regs, Slots } from './slots.ts';
import type { Tasks } from './task.ts';

export interface OopsPolicy {
  readonly panicOnOops: boolean;
  readonly panicOnWarn: boolean;
}

/** What an oops needs of the rest of the kernel. */
export interface OopsParts {
  readonly machine: Machine;
  readonly printk: PrintkRing;
  readonly preempt: Preempt;
  readonly tasks: Tasks;
  readonly sched: Scheduler;
  readonly slots: Slots;
  readonly mm: KernelMappings;
  readonly policy: OopsPolicy;
  /** C names for the call trace. */
  readonly symbols: SymbolNames;
}

/** WARN_ONCE sites that a kernel can tell apart. */
const WARN_SITES = 64;

/** __warned, which the C macro keeps for each site in .data.once. */
const warnedField: FieldDefinition = {
  name: '__warned',
  type: 'bool',
  initial: 0,
  per: 'object',
  count: WARN_SITES,
};

/** die_counter */
const dieCounterField: FieldDefinition = {
  name: 'die_counter',
  type: 'u32',
  initial: 0,
  per: 'global',
};

/** What the kernel says when something is wrong, and what becomes of the task and the machine then. */
export class Oops {
  readonly #parts: OopsParts;
  readonly #warned: Column;
  readonly #dies: Column;
  readonly #interruptFlag: PerCpu;
  /** Texts of WARN_ONCE by number; a text keeps its number for ever. */
  readonly #sites: string[] = [];
  /** Output, as the log is: the machine's state at a panic stays to be looked at. */
  #panicked: string | null = null;

  constructor(parts: OopsParts) {
    this.#parts = parts;
    this.#warned = parts.machine.column(warnedField);
    this.#dies = parts.machine.column(dieCounterField);
    this.#interruptFlag = new PerCpu(parts.machine.registers.interruptFlag);
  }

  /**
   * WARN: a message with where it came from; the kernel goes on.
   *
   * Use it for misuse that can be refused without harm.
   *
   * @throws {KernelPanic} with `policy.panicOnWarn`.
   */
  warn(message: string): void {
    const { machine, printk, tasks, policy } = this.#parts;
    machine.mark(Mark.complaint, 1, Complaint.warn);
    const frames = this.#frames();
    const task = tasks.current;
    const where = `CPU: ${machine.cpu.index} PID: ${task}`;
    printk.print(
      [
        '------------[ cut here ]------------',
        ...(message === '' ? [] : [message]),
        `WARNING: ${where}${frames.length > 0 ? ` at ${frames[0]}` : ''}`,
        `${where} Comm: ${tasks.nameOf(task)}`,
        ...callTrace(frames),
        '---[ end trace ]---',
      ].join('\n'),
    );
    if (policy.panicOnWarn) this.panic('panic_on_warn set ...');
  }

  /** WARN_ONCE: only the first time for its text. */
  warnOnce(message: string): void {
    if (this.#firstAt(message)) this.warn(message);
  }

  /** WARN_ON_ONCE: no message of its own, only where it is; the condition is the site. */
  warnOn(condition: string): void {
    if (this.#firstAt(`WARN_ON_ONCE(${condition})`)) this.warn('');
  }

  /** Whether a WARN_ONCE site is passed for the first time. */
  #firstAt(name: string): boolean {
    const known = this.#sites.indexOf(name);
    const site = known >= 0 ? known : this.#sites.push(name) - 1;
    return this.#warned.exchange(Math.min(site, WARN_SITES - 1), 1) === 0;
  }

  /**
   * Refuses a call on a machine that has stopped.
   *
   * @throws {KernelPanic} after a panic.
   */
  checkRunning(): void {
    if (this.#panicked === null) return;
    throw new KernelPanic(`the machine has stopped (${this.#panicked}): boot a new one`);
  }

  /** A `BUG:` line with a call trace and nothing else: the kernel goes on. */
  bug(...lines: readonly string[]): void {
    const { machine, printk } = this.#parts;
    machine.mark(Mark.complaint, 1, Complaint.warn);
    printk.print([...lines, ...callTrace(this.#frames())].join('\n'));
  }

  /** might_sleep: says so where the caller must not sleep. */
  mightSleep(): void {
    const { preempt, tasks } = this.#parts;
    const atomic = preempt.count.read() !== 0;
    const irqsOff = this.#interruptFlag.read() === 0;
    if (!atomic && !irqsOff) return;
    const task = tasks.current;
    this.bug(
      `BUG: sleeping function called from invalid context at ${this.#frames()[0] ?? 'kernel code'}`,
      `in_atomic(): ${Number(atomic)}, irqs_disabled(): ${Number(irqsOff)}, non_block: 0, pid: ${task}, name: ${tasks.nameOf(task)}`,
    );
  }

  /** The kernel's functions on the stack; none while nobody will read them. */
  #frames(from?: string): readonly string[] {
    const { printk, symbols } = this.#parts;
    return printk.muted ? [] : kernelFrames(hostFrames(), symbols, from);
  }

  /**
   * panic(): the machine stops.
   *
   * @throws {KernelPanic} always.
   */
  panic(message: string): never {
    const { machine, printk } = this.#parts;
    machine.mark(Mark.complaint, 1, Complaint.panic);
    printk.print(`Kernel panic - not syncing: ${message}`);
    // A checker that prints nothing takes the panic back.
    if (!printk.muted) this.#panicked = message;
    throw new KernelPanic(`Kernel panic - not syncing: ${message}`);
  }

  /** no_context: reports an unhandled kernel page fault and ends the task, or the machine. */
  pageFault(regs: Regs, errorCode: number, address: number): never {
    const { machine, slots } = this.#parts;
    machine.mark(Mark.complaint, 1, Complaint.oops);
    const mode = (errorCode & PF_U) !== 0 ? 'user' : 'supervisor';
    const report = [
      faultTitle(address),
      `#PF: ${mode} ${accessWord(errorCode)} access in kernel mode`,
      `#PF: error_code(0x${hex4(errorCode)}) - ${faultReason(errorCode)}`,
      ...slots.faultReport.map((line) => line(regs, errorCode)).filter((line) => line !== null),
      this.#dumpPageTable(address),
    ];
    const cr2 = [`CR2: ${formatAddress(address)}`];
    this.#die(regs, report, `Oops: ${hex4(errorCode)}`, 'exc_page_fault', cr2);
  }

  /** die() for a #GP without fixup; the address is that of a non-canonical operand, 0 without one. */
  generalProtection(regs: Regs, errorCode: number, address: number): never {
    this.#parts.machine.mark(Mark.complaint, 1, Complaint.oops);
    const hint = `, probably for non-canonical address 0x${formatAddress(address).replace(/^0+/, '')}`;
    const what = `general protection fault${address === 0 ? '' : hint}: ${hex4(errorCode)}`;
    this.#die(regs, [], what, 'exc_general_protection', []);
  }

  /** get_signal: the end of a program that has no handler for a signal. */
  killedBySignal(signal: string): never {
    const { tasks, sched } = this.#parts;
    tasks.noteDeath(tasks.current, signal);
    sched.doExit();
    throw new KernelPanic('a dead task was switched to');
  }

  /** exc_double_fault: on a stack of its own, in NMI context, which is the end. */
  doubleFault(regs: Regs): never {
    this.#parts.machine.mark(Mark.complaint, 1, Complaint.oops);
    const report = ['PANIC: double fault, error_code: 0x0'];
    this.#die(regs, report, 'double fault: 0000', 'exc_double_fault', []);
  }

  /** The report; then the end of the task, or of the machine where there is no task to end. */
  #die(
    regs: Regs,
    report: readonly string[],
    what: string,
    exception: string,
    details: readonly string[],
  ): never {
    const { machine, printk, preempt, tasks, sched, slots, policy } = this.#parts;
    const task = tasks.current;
    const name = tasks.nameOf(task);
    const lines = [
      ...report,
      `${what} [#${this.#dies.add(0, 1)}] PREEMPT SMP NOPTI`,
      `CPU: ${machine.cpu.index} PID: ${task} Comm: ${name}`,
      ...slots.showRegs.map((line) => line(regs)),
      ...callTrace(this.#frames(exception)),
      ...details,
      '---[ end trace ]---',
    ];
    printk.print(lines.join('\n'));
    tasks.noteDeath(task, lines[0] as string);
    // The handler's own entry added no count: whatever is left belongs to the interrupted context.
    const count = preempt.count.read();
    if ((count & INTERRUPT_MASK) !== 0) this.panic('Fatal exception in interrupt');
    if (policy.panicOnOops) this.panic('Fatal exception');
    if (task < machine.cpus.length) this.panic('Attempted to kill the idle task!');
    sched.doExit();
    throw new KernelPanic('a dead task was switched to');
  }

  /** dump_pagetable: PGD, P4D, PUD, PMD, PTE as far as the walk goes. */
  #dumpPageTable(address: number): string {
    const { machine, mm } = this.#parts;
    const walk = mm.lookup(address);
    const folded = mm.levels === 4;
    const names = folded ? ['PGD', 'PUD', 'PMD', 'PTE'] : ['PGD', 'P4D', 'PUD', 'PMD', 'PTE'];
    let line = '';
    for (let i = 0; i < walk.depth; i++) {
      const at = walk.entries[i] as number;
      const words = machine.memory.chunkAt(at).words;
      const word = (at % 0x20_0000) >>> 2;
      const low = ((words[word] as number) >>> 0).toString(16).padStart(8, '0');
      const high = ((words[word + 1] as number) >>> 0).toString(16);
      const value = (high === '0' ? '' : high) + (high === '0' ? low.replace(/^0+(?=.)/, '') : low);
      line += `${i === 0 ? '' : ' '}${names[i]} ${value}`;
      // p4d_offset of a folded table is the PGD's entry.
      if (i === 0 && folded) line += ` P4D ${value}`;
    }
    return line;
  }
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}

function accessWord(errorCode: number): string {
  if ((errorCode & PF_I) !== 0) return 'instruction fetch';
  return (errorCode & PF_W) !== 0 ? 'write' : 'read';
}

function faultReason(errorCode: number): string {
  if ((errorCode & PF_P) === 0) return 'not-present page';
  if ((errorCode & PF_RSVD) !== 0) return 'reserved bit violation';
  return (errorCode & PF_PK) !== 0 ? 'protection keys violation' : 'permissions violation';
}

/** The first line of a report; the lowest page is what a null pointer leads to. */
function faultTitle(address: number): string {
  return address >= 0 && address < 4096
    ? `BUG: kernel NULL pointer dereference, address: ${formatAddress(address)}`
    : `BUG: unable to handle page fault for address: ${formatAddress(address)}`;
}

function callTrace(frames: readonly string[]): readonly string[] {
  return ['Call Trace:', ...frames.map((name) => ` ${name}`)];
}
