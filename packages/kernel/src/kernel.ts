// SPDX-License-Identifier: MIT
// The kernel: its parts, put together at boot. init/main.c

import { type FieldDefinition, type Machine, type MachineOptions, Op } from '@pkslab/x86-cpu';
import { type ModuleSymbols, type SymbolNames, symbolsOf } from './backtrace.ts';
import { bootMachine } from './boot-machine.ts';
import { kernelChoices } from './choices.ts';
import { CpuStates } from './cpu-state.ts';
import { Debugfs } from './debugfs.ts';
import { Entry } from './entry.ts';
import { EINVAL } from './errno.ts';
import { FaultHandler, type KeyFaultWarn } from './fault.ts';
import { Hotplug, type OnlineSetup } from './hotplug.ts';
import { doIdle } from './idle.ts';
import type { EntryChoices } from './idtentry.ts';
import { type InitcallLevel, Initcalls } from './initcall.ts';
import { type ConfigOption, Kconfig, kernelConfig } from './kconfig.ts';
import { KernelError } from './kernel-error.ts';
import { defineLock, Mutex, SpinLock, Srcu } from './lock.ts';
import { Mark } from './mark.ts';
import { Misuse, type MisuseChecks } from './misuse.ts';
import { KernelMappings } from './mm.ts';
import { Oops, type OopsPolicy } from './oops.ts';
import { Preempt } from './preempt.ts';
import { PrintkRing } from './printk.ts';
import { Rcu } from './rcu.ts';
import {
  type ChoiceSlice,
  type Choices,
  type ConfigRequest,
  type RevisionName,
  type RevisionRequest,
  resolveChoices,
} from './revision.ts';
import { Runner } from './runner.ts';
import { type SchedHook, Scheduler } from './sched.ts';
import { Slots } from './slots.ts';
import { Smp } from './smp.ts';
import { Softirq } from './softirq.ts';
import { StaticKey, type StaticKeyDefinition } from './static-branch.ts';
import { StopMachine } from './stop-machine.ts';
import { type TaskCode, TaskState, Tasks } from './task.ts';
import { UserMm } from './user-mm.ts';

/** What a package exports for boot: its slice of the revisions, and how its part is made. */
export interface KernelModule<T> extends ChoiceSlice {
  readonly name: string;
  /** C names of its functions, for call traces; where revisions differ, made from the choices of the boot. */
  readonly symbols?: ModuleSymbols;
  /** Its Kconfig options; stubs for what is configured out are the module's own business. */
  readonly config?: readonly ConfigOption[];
  /** Declares cells, fills slots, registers initcalls; its result is what `kernel.module` returns. */
  create(kernel: Kernel): T;
}

export interface BootOptions extends MachineOptions {
  /** Default `reference`. */
  readonly revision?: RevisionName;
  /** Reported defects to repair, by id. */
  readonly repairs?: readonly string[];
  /** Protections to break, by name. */
  readonly sabotages?: readonly string[];
  /** Single choices to replace. */
  readonly with?: Choices;
  /** In the order of their dependencies. */
  readonly modules?: readonly KernelModule<unknown>[];
  readonly policy?: Partial<OopsPolicy>;
  /** Kconfig options to turn on or off. */
  readonly config?: ConfigRequest;
}

const jumpLabelMutex = defineLock('jump_label_mutex');
const cpuHotplugLock = defineLock('cpu_hotplug_lock');

/**
 * One running kernel: its parts, and what modules and programs call.
 *
 * Get one from {@link boot}. Kernel code runs inside `call`, or in tasks made by `spawn`; whatever it shares
 * must be in the machine's cells and memory.
 */
export class Kernel {
  readonly machine: Machine;
  readonly printk: PrintkRing;
  readonly debugfs: Debugfs;
  readonly slots: Slots = new Slots();
  readonly tasks: Tasks;
  readonly preempt: Preempt;
  readonly sched: Scheduler;
  readonly entry: Entry;
  /** Which CPUs are online. */
  readonly cpus: CpuStates;
  readonly rcu: Rcu;
  readonly softirq: Softirq;
  /** Function calls on other CPUs. */
  readonly smp: Smp;
  readonly hotplug: Hotplug;
  /** All CPUs but one stand still. */
  readonly stopMachine: StopMachine;
  readonly mm: KernelMappings;
  /** The user half of the address space, and user mode. */
  readonly userMm: UserMm;
  readonly oops: Oops;
  readonly runner: Runner;
  readonly revision: RevisionName;
  /** Reported defects that the loaded modules know how to repair. */
  readonly repairs: readonly string[];
  /** C names of the functions of the loaded modules. */
  readonly symbols: SymbolNames;
  /** Every design choice of this boot, by name. */
  readonly choices: Choices;
  /** IS_ENABLED(CONFIG_…) of this boot. */
  readonly config: Kconfig;
  readonly initcalls: Initcalls = new Initcalls();
  readonly #misuse: Misuse;
  readonly #modules = new Map<KernelModule<unknown>, unknown>();
  readonly #staticKeys = new Map<StaticKeyDefinition, StaticKey>();

  /** Prefer {@link boot}. */
  constructor(options: BootOptions) {
    const modules = options.modules ?? [];
    this.revision = requestOf(options).revision;
    const slices = [kernelChoices, ...modules];
    this.repairs = [...new Set(slices.flatMap((slice) => Object.keys(slice.repairs)))].sort();
    this.choices = resolveChoices(slices, requestOf(options));
    const known = [...kernelConfig, ...modules.flatMap((module) => module.config ?? [])];
    this.config = new Kconfig(known, this.revision, options.config ?? {});
    const { slots } = this;
    const machine = bootMachine(options, this.config.enabled('X86_5LEVEL'));
    const tasks = new Tasks(machine);
    const preempt = new Preempt(machine);
    this.machine = machine;
    this.tasks = tasks;
    this.preempt = preempt;
    this.debugfs = new Debugfs(machine);
    this.printk = new PrintkRing(() => machine.operate(Op.mark, Mark.printk, 1, 0, 0) === 0);
    for (const { index } of machine.cpus) this.#makeIdleTask(index);
    // The first 2 MiB of RAM hold what the simulated kernel's image would.
    this.mm = new KernelMappings(machine, 0x20_0000);
    const cpus = new CpuStates(machine);
    this.cpus = cpus;
    this.rcu = new Rcu(machine);
    this.softirq = new Softirq(machine, preempt);
    const hook = this.choice('schedHook') as SchedHook;
    this.sched = new Scheduler({ machine, tasks, preempt, slots, cpus, hook });
    const choices = this.choices as unknown as EntryChoices;
    const { rcu, sched, mm, printk } = this;
    this.entry = new Entry({ machine, preempt, sched, tasks, rcu, slots, choices }, this.softirq);
    const policy: OopsPolicy = { panicOnOops: false, panicOnWarn: false, ...options.policy };
    this.symbols = symbolsOf(modules, this.choices);
    const { symbols } = this;
    this.oops = new Oops({ machine, printk, preempt, tasks, sched, slots, mm, policy, symbols });
    const { entry, oops } = this;
    const checks = this.choice('misuseChecks') as MisuseChecks;
    this.#misuse = new Misuse({ machine, tasks, printk, oops, checks });
    sched.misuse = this.#misuse;
    const warn = this.choice('keyFaultWarn') as KeyFaultWarn;
    this.userMm = this.#makeUserMm();
    new FaultHandler(machine, preempt, tasks, sched, slots, oops, entry, warn, this.userMm);
    this.smp = new Smp({ machine, cpus, preempt, entry, oops });
    const lock = this.#newMutex(cpuHotplugLock);
    this.hotplug = this.#makeHotplug(lock);
    this.stopMachine = new StopMachine({ machine, cpus, preempt, entry, lock });
    this.runner = new Runner(machine, tasks, this.sched, cpus);
    for (const module of modules) this.#modules.set(module, module.create(this));
  }

  /** fork_idle */
  #makeIdleTask(cpu: number): void {
    const { tasks } = this;
    tasks.create({ name: `swapper/${cpu}`, calls: [() => doIdle(this)], loop: true });
    tasks.state.values[cpu] = TaskState.running;
    tasks.onCpu.values[cpu] = cpu + 1;
    tasks.currentTask.values[cpu] = cpu;
  }

  #makeUserMm(): UserMm {
    return new UserMm(this.machine, this.mm, {
      mmap: this.mutex('mm.mmap_lock'),
      rmap: this.mutex('mapping.i_mmap_rwsem'),
      pageTable: this.spinLock('mm.page_table_lock'),
    });
  }

  #makeHotplug(lock: Mutex): Hotplug {
    const { machine, cpus, sched, tasks, preempt, smp, rcu, slots, oops, printk } = this;
    const { root } = this.mm;
    const setup = this.choice('onlineSetup') as OnlineSetup;
    return new Hotplug({
      ...{ machine, cpus, sched, tasks, preempt, smp, rcu, slots, oops, printk },
      ...{ root, lock, setup },
    });
  }

  /**
   * A design choice of this boot: how a module picks its strategy.
   *
   * @throws {KernelError} EINVAL where no loaded module has it.
   */
  choice(name: string): string {
    const value = this.choices[name];
    if (value === undefined)
      throw new KernelError(EINVAL, `choice ${name}: no loaded module has it`);
    return value;
  }

  /**
   * What a loaded module made: how one package finds another's part of this kernel.
   *
   * @throws {KernelError} EINVAL for a module that was not given to boot.
   */
  module<T>(module: KernelModule<T>): T {
    if (!this.#modules.has(module)) {
      throw new KernelError(
        EINVAL,
        `module ${module.name} is not loaded: add it to boot({ modules })`,
      );
    }
    return this.#modules.get(module) as T;
  }

  /** Registers a function to run once at boot, level by level; in `KernelModule.create`. */
  initcall(level: InitcallLevel, fn: () => void): void {
    this.initcalls.add(level, fn);
  }

  /** A static key of this kernel; made at the first call. */
  staticKey(definition: StaticKeyDefinition): StaticKey {
    let key = this.#staticKeys.get(definition);
    if (key === undefined) {
      const mutex = this.#newMutex(jumpLabelMutex);
      key = new StaticKey(this.machine, definition, mutex, (message) => this.oops.warn(message));
      this.#staticKeys.set(definition, key);
    }
    return key;
  }

  /** DEFINE_MUTEX, once for each name. */
  mutex(name: string): Mutex {
    return this.#newMutex(defineLock(name));
  }

  #newMutex(lock: FieldDefinition): Mutex {
    return new Mutex(this.machine, this.tasks, this.sched, lock, this.#misuse);
  }

  /** DEFINE_SPINLOCK, once for each name. */
  spinLock(name: string): SpinLock {
    return new SpinLock(this.machine, this.preempt, this.cpus, defineLock(name), this.#misuse);
  }

  /** DEFINE_SRCU, once for each name. */
  srcu(name: string): Srcu {
    return new Srcu(this.machine, this.sched, name, this.mutex(`${name}.gp_mutex`));
  }

  /**
   * kthread_run: a new task with the fork policy of every field, runnable at once; returns its number.
   *
   * Use it inside `call` or in a task. Each of `calls` is one system call or step of a thread: the record of
   * operations, from which an interrupted call is run again, ends with it.
   *
   * @throws {KernelError} ENOMEM when every task slot is taken: boot with more `tasks`.
   * @example
   * const kernel = boot();
   * const address = PAGE_OFFSET + 0x100_0000;
   * kernel.call(() => kernel.spawn('writer', () => kernel.machine.store32(address, 7)));
   * kernel.run();
   * kernel.call(() => kernel.machine.load32(address)); // => 7
   */
  spawn(name: string, ...calls: readonly (() => void)[]): number {
    return this.spawnCode({ name, calls });
  }

  /** The same for code that is already a {@link TaskCode}. */
  spawnCode(code: TaskCode): number {
    const parent = this.tasks.current;
    const child = this.tasks.create(code);
    this.tasks.copyFields(parent, child);
    for (const hook of this.slots.fork) hook(parent, child);
    this.runner.newThread(child);
    this.tasks.state.set(child, TaskState.running);
    return child;
  }

  /**
   * begin_new_exec: the calling task becomes another program, which inherits no rights.
   *
   * Use it where a scenario needs the exec path (`flush_thread`); the task's code goes on, its name changes.
   */
  exec(name: string): void {
    const me = this.tasks.current;
    this.tasks.rename(me, name);
    for (const hook of this.slots.exec) hook(me);
  }

  /**
   * Runs a call in the host's task, as a system call, and returns its value; see {@link Runner.call}.
   *
   * @throws {TaskKilled} if an oops ended the task.
   * @throws {KernelPanic} if the machine stopped.
   * @throws {Deadlock} if it waits for what nobody can change.
   */
  call<T>(fn: () => T): T {
    this.oops.checkRunning();
    return this.runner.call(fn);
  }

  /** Runs every task, on all CPUs in turn, until all sleep or are dead. */
  run(): void {
    this.oops.checkRunning();
    this.runner.runAll();
  }

  /** printk */
  print(text: string): void {
    this.printk.print(text);
  }

  /** What dmesg(1) shows. */
  get dmesg(): readonly string[] {
    return this.printk.dmesg;
  }
}

/** What a boot asks for of revisions. */
function requestOf({ revision, repairs, sabotages, with: choices }: BootOptions): RevisionRequest {
  return {
    revision: revision ?? 'reference',
    repairs: repairs ?? [],
    sabotages: sabotages ?? [],
    with: choices ?? {},
  };
}
