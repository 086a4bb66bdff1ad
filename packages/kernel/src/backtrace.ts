// SPDX-License-Identifier: MIT
// The call trace of a report. The simulated kernel runs on the host's stack, so the host's frames are its
// frames, once those of the machinery are left out. arch/x86/kernel/stacktrace.c

import type { Choices } from './revision.ts';

/** C names of functions that are spelled otherwise here: `Class.method`, `#privateMethod` or `function`; '' for none. */
export type SymbolNames = Readonly<Record<string, string>>;

/** Those of a module; where revisions differ, made from the choices of the boot. */
export type ModuleSymbols = SymbolNames | ((choices: Choices) => SymbolNames);

/** The kernel's own; modules bring theirs. */
export const kernelSymbols: SymbolNames = {
  'Entry.doubleFault': 'exc_double_fault',
  'Entry.generalProtection': 'exc_general_protection',
  'Entry.interrupt': 'common_interrupt',
  'Entry.machineCheck': 'exc_machine_check',
  'Entry.nmi': 'exc_nmi',
  'Entry.pageFault': 'exc_page_fault',
  'Hotplug.down': 'cpu_down',
  'Hotplug.playDead': 'play_dead',
  'Hotplug.up': 'cpu_up',
  'Idtentry.enter': 'idtentry_enter',
  'Idtentry.exit': 'idtentry_exit',
  'Idtentry.exitUpcall': 'xen_pv_evtchn_do_upcall',
  'Idtentry.nmiEnter': 'nmi_enter',
  'Idtentry.nmiExit': 'nmi_exit',
  'Kernel.exec': 'begin_new_exec',
  'Kernel.spawnCode': 'copy_process',
  'KernelMappings.vfree': 'vfree',
  'KernelMappings.vmalloc': '__vmalloc',
  'Mutex.lock': 'mutex_lock',
  'Mutex.unlock': 'mutex_unlock',
  'OpenFile.read': 'full_proxy_read',
  'OpenFile.release': 'full_proxy_release',
  'OpenFile.write': 'full_proxy_write',
  'Scheduler.doExit': 'do_exit',
  'Scheduler.preemptScheduleIrq': 'preempt_schedule_irq',
  'Scheduler.schedule': 'schedule',
  'Scheduler.yield': '__schedule',
  'Smp.call': 'smp_call_function_single',
  'Smp.rdmsrOnCpu': 'rdmsrl_on_cpu',
  'Smp.wrmsrOnCpu': 'wrmsrl_on_cpu',
  'Softirq.raise': 'raise_softirq',
  'SpinLock.lock': '_raw_spin_lock',
  'SpinLock.unlock': '_raw_spin_unlock',
  'Srcu.synchronize': 'synchronize_srcu',
  'StaticKey.dec': 'static_key_slow_dec',
  'StaticKey.inc': 'static_key_slow_inc',
  'StopMachine.run': 'stop_machine',
  // V8 does not name the class of a private method.
  '#condResched': 'idtentry_exit_cond_resched',
  '#contextSwitch': 'context_switch',
  '#finishTask': 'finish_task_switch',
  '#flushQueue': 'flush_smp_call_function_queue',
  '#kernelAddress': 'do_kern_addr_fault',
  '#startSecondary': 'start_secondary',
  '#switchTo': '__switch_to',
  doIdle: 'do_idle',
};

/** Classes of the machine and of what runs it: their public methods are host internals. */
const HIDDEN_CLASSES: ReadonlySet<string> = new Set([
  'Array',
  'Column',
  'Debugfs',
  'Entry',
  'CpuStates',
  'FaultHandler',
  'Hotplug',
  'Idtentry',
  'IntColumn',
  'Kernel',
  'KernelMappings',
  'Machine',
  'Map',
  'Mmu',
  'Mutex',
  'Oops',
  'OpenFile',
  'PageAllocator',
  'PageTables',
  'MarkWindow',
  'Misuse',
  'PerCpu',
  'PhysicalMemory',
  'Preempt',
  'PrintkRing',
  'Recorder',
  'Rcu',
  'Reflect',
  'Runner',
  'Scheduler',
  'Set',
  'Smp',
  'Softirq',
  'SpinLock',
  'Srcu',
  'StaticKey',
  'Tasks',
  'TaskStacks',
  'WordColumn',
]);

/** Functions of the machine that belong to no class. */
const HIDDEN_FUNCTIONS: ReadonlySet<string> = new Set([
  'boundary',
  'eachPage',
  'executeOperation',
  'executeOther',
  'executeRegister',
  'operate',
  'take',
]);

/** From one of these down to the interrupted operation, frames are those of whoever fired the event. */
const EVENT_DELIVERY: ReadonlySet<string> = new Set([
  'Runner.debugException',
  'Runner.deliverPending',
  'Runner.interrupt',
  'Runner.machineCheck',
  'Runner.nmi',
  'Runner.runOther',
  'Runner.userPageFault',
]);

/** What runs a task's call; `run` is that of a routine which a checker runs by itself. */
const TASK_BOUNDARY: ReadonlySet<string> = new Set([
  'Runner.call',
  '#runCall',
  'startKernel',
  'Object.run',
  'run',
]);

const FRAME = /^\s*at (?:async )?(?:new )?([\w$]*\.?#?[\w$]+)(?: \[as [^\]]*\])? \(/;
const LINE = /:(\d+):\d+\)$/;
const FRAMES_MAX = 16;

/** Reads the host's stack from its caller on, as far as the host lets one: `most` frames of it. */
export function hostFrames(most = 100): readonly string[] {
  const host = Error as unknown as { stackTraceLimit?: number };
  const limit = host.stackTraceLimit;
  host.stackTraceLimit = most + 1;
  const { stack } = new Error('frames');
  if (limit !== undefined) host.stackTraceLimit = limit;
  return stack?.split('\n').slice(2) ?? [];
}

/** A function of the simulated kernel on a host stack, and the line of the running code that it is at. */
export interface KernelPlace {
  readonly name: string;
  readonly line: number;
}

/**
 * The simulated kernel's functions on a host stack, innermost first, by their C names.
 *
 * A host whose stacks are not in V8's format gives an empty list.
 *
 * @param from leaves out everything above and including the first frame of this C name
 */
export function kernelFrames(
  frames: readonly string[],
  symbols: SymbolNames,
  from?: string,
): readonly string[] {
  const names = kernelPlaces(frames, symbols).map(({ name }) => name);
  const start = from === undefined ? 0 : names.indexOf(from) + 1;
  return names.slice(start, start + FRAMES_MAX);
}

/** The same with lines, which tell two places in one function apart. */
export function kernelPlaces(
  frames: readonly string[],
  symbols: SymbolNames,
): readonly KernelPlace[] {
  return interruptedFrames(frames).flatMap(({ host, line }) => {
    const name = kernelName(host, symbols);
    return name === null ? [] : [{ name, line }];
  });
}

/** The host's functions down to the task's boundary, without those of an event's source. */
function interruptedFrames(frames: readonly string[]): readonly { host: string; line: number }[] {
  const names: { host: string; line: number }[] = [];
  let delivering = false;
  for (const frame of frames) {
    // Some versions of V8 put the class before a private method, some do not.
    const host = FRAME.exec(frame)?.[1]?.replace(/^.*#/, '#');
    if (host === undefined) continue;
    if (TASK_BOUNDARY.has(host)) break;
    if (EVENT_DELIVERY.has(host)) delivering = true;
    else if (host === 'Recorder.operate') delivering = false;
    if (!delivering) names.push({ host, line: Number(LINE.exec(frame)?.[1] ?? 0) });
  }
  return names;
}

/** A function's C name; null for the machinery. */
function kernelName(host: string, symbols: SymbolNames): string | null {
  const known = symbols[host];
  if (known !== undefined) return known === '' ? null : known;
  const dot = host.indexOf('.');
  const name = host.slice(dot + 1);
  // V8 does not say whose private method it is, and the kernel's are named above.
  if (name.startsWith('#')) return null;
  const hidden = dot < 0 ? HIDDEN_FUNCTIONS.has(name) : HIDDEN_CLASSES.has(host.slice(0, dot));
  if (hidden || (dot >= 0 && HIDDEN_FUNCTIONS.has(name))) return null;
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/^_/, '');
}

/** C names of everything that is loaded, in the words of the revision. */
export function symbolsOf(
  modules: readonly { readonly symbols?: ModuleSymbols }[],
  choices: Choices,
): SymbolNames {
  const names = modules.map(({ symbols }) =>
    typeof symbols === 'function' ? symbols(choices) : symbols,
  );
  return Object.assign({}, kernelSymbols, ...names);
}
