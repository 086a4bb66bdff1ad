// SPDX-License-Identifier: MIT
// WARN, oops and panic, in Linux's words. kernel/panic.c, arch/x86/kernel/dumpstack.c, arch/x86/mm/fault.c

import {
  formatAddress,
  type Machine,
  PF_I,
  PF_P,
  PF_PK,
  PF_RSVD,
  PF_U,
  PF_W,
} from '@pkslab/x86-cpu';
import { KernelPanic } from './kernel-error.ts';
import { Complaint, Mark } from './mark.ts';
import type { KernelMappings } from './mm.ts';
import type { Preempt } from './preempt.ts';
import type { PrintkRing } from './printk.ts';
import type { Scheduler } from './sched.ts';
import type { Slots } from './slots.ts';
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
}

export class Oops {
  readonly #parts: OopsParts;
  /** Warnings of WARN_ONCE that have fired: output state, as printk's, outside the machine. */
  readonly #warned = new Set<string>();
  #dies = 0;

  constructor(parts: OopsParts) {
    this.#parts = parts;
  }

  /** WARN: a message with where it came from; the kernel goes on. */
  warn(message: string): void {
    const { machine, printk, tasks, policy } = this.#parts;
    machine.mark(Mark.complaint, 1, Complaint.warn);
    const cpu = machine.cpu.index;
    const name = tasks.nameOf(tasks.current);
    printk.print('------------[ cut here ]------------');
    printk.print(message);
    printk.print(`WARNING: CPU: ${cpu} PID: ${tasks.current} Comm: ${name}`);
    printk.print(callTrace());
    printk.print('---[ end trace ]---');
    if (policy.panicOnWarn) this.panic('panic_on_warn set ...');
  }

  /** WARN_ONCE: only the first time for its text. */
  warnOnce(message: string): void {
    if (this.#warned.has(message)) return;
    if (!this.#parts.printk.muted) this.#warned.add(message);
    this.warn(message);
  }

  /** panic(): the machine stops. */
  panic(message: string): never {
    const { machine, printk } = this.#parts;
    machine.mark(Mark.complaint, 1, Complaint.panic);
    printk.print(`Kernel panic - not syncing: ${message}`);
    throw new KernelPanic(`Kernel panic - not syncing: ${message}`);
  }

  /** page_fault_oops: reports an unhandled kernel page fault and ends the task, or the machine. */
  pageFault(errorCode: number, address: number): never {
    const { machine, printk, slots } = this.#parts;
    machine.mark(Mark.complaint, 1, Complaint.oops);
    printk.print(`BUG: unable to handle page fault for address: ${formatAddress(address)}`);
    const mode = (errorCode & PF_U) !== 0 ? 'user' : 'supervisor';
    printk.print(`#PF: ${mode} ${accessWord(errorCode)} access in kernel mode`);
    printk.print(`#PF: error_code(0x${hex4(errorCode)}) - ${faultReason(errorCode)}`);
    printk.print(this.#dumpPageTable(address));
    this.#die(`Oops: ${hex4(errorCode)}`, () => {
      printk.print(`CR2: ${formatAddress(address)}`);
      for (const line of slots.oops) {
        const text = line();
        if (text !== null) printk.print(text);
      }
    });
  }

  /** die() for an exception without fixup. */
  generalProtection(errorCode: number): never {
    this.#parts.machine.mark(Mark.complaint, 1, Complaint.oops);
    this.#die(`general protection fault: ${hex4(errorCode)}`, () => {});
  }

  #die(what: string, details: () => void): never {
    const { machine, printk, preempt, tasks, sched, policy } = this.#parts;
    this.#dies++;
    printk.print(`${what} [#${this.#dies}] SMP PTI`);
    const task = tasks.current;
    printk.print(`CPU: ${machine.cpu.index} PID: ${task} Comm: ${tasks.nameOf(task)}`);
    printk.print(callTrace());
    details();
    printk.print('---[ end trace ]---');
    // The handler's own entry added no count: whatever is left belongs to the interrupted context.
    if (preempt.inInterrupt) this.panic('Fatal exception in interrupt');
    if (policy.panicOnOops) this.panic('Fatal exception');
    sched.doExit();
    throw new KernelPanic('a dead task was switched to');
  }

  /** dump_pagetable: PGD, P4D, PUD, PMD, PTE as far as the walk goes. */
  #dumpPageTable(address: number): string {
    const { machine, mm } = this.#parts;
    const walk = mm.lookup(address);
    const names = ['PGD', 'PUD', 'PMD', 'PTE'];
    let line = '';
    for (let i = 0; i < walk.depth; i++) {
      const at = walk.entries[i] as number;
      const words = machine.memory.chunkAt(at).words;
      const word = (at % 0x20_0000) >>> 2;
      const low = ((words[word] as number) >>> 0).toString(16).padStart(8, '0');
      const high = ((words[word + 1] as number) >>> 0).toString(16);
      const value = (high === '0' ? '' : high) + (high === '0' ? low.replace(/^0+(?=.)/, '') : low);
      line += `${i === 0 ? '' : ' '}${names[i]} ${value}`;
      if (i === 0) line += ` P4D ${value}`;
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

/** The kernel's call trace is the host's: the simulated kernel runs on its stack. */
function callTrace(): string {
  const frames = new Error('trace').stack?.split('\n').slice(3) ?? [];
  const lines = ['Call Trace:'];
  for (const frame of frames) {
    const name = /at (?:new )?(?:[\w$]+\.)?#?([\w$]+) \(/.exec(frame)?.[1];
    if (name !== undefined) lines.push(` ${name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)}`);
    if (lines.length > 16) break;
  }
  return lines.join('\n');
}
