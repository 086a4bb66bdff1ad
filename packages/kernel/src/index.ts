// SPDX-License-Identifier: MIT

export {
  hostFrames,
  type KernelPlace,
  kernelFrames,
  kernelPlaces,
  type ModuleSymbols,
  type SymbolNames,
} from './backtrace.ts';
export { boot } from './boot.ts';
export { kernelChoices } from './choices.ts';
export { CpuState, CpuStates } from './cpu-state.ts';
export {
  Debugfs,
  type DebugfsFile,
  OPEN_FILES_MAX,
  type OpenFile,
  type UserBuffer,
} from './debugfs.ts';
export { Entry } from './entry.ts';
export * from './errno.ts';
export { PF_USER_MEMORY } from './fault.ts';
export { Hotplug, type OnlineSetup } from './hotplug.ts';
export type { EntrySaveAt, NmiCoverage, StatePassing, XenUpcall } from './idtentry.ts';
export { INITCALL_LEVELS, type InitcallLevel } from './initcall.ts';
export {
  type ConfigOption,
  type Dependency,
  Kconfig,
  kernelConfig,
} from './kconfig.ts';
export { type BootOptions, Kernel, type KernelModule } from './kernel.ts';
export { Deadlock, KernelError, KernelPanic, TaskKilled } from './kernel-error.ts';
export { defineLock, Mutex, SpinLock, Srcu } from './lock.ts';
export { Complaint, Mark } from './mark.ts';
export {
  KernelMappings,
  PAGE_KERNEL_PROT,
  PAGE_OFFSET,
  type Protection,
  VMALLOC_START,
} from './mm.ts';
export { Oops, type OopsPolicy } from './oops.ts';
export { HARDIRQ_OFFSET, NMI_OFFSET, Preempt, SOFTIRQ_OFFSET } from './preempt.ts';
export { PrintkRing } from './printk.ts';
export { Rcu, rcuNestingField } from './rcu.ts';
export {
  type ChoiceSlice,
  type Choices,
  type ConfigRequest,
  noChoices,
  type RevisionName,
  type RevisionRequest,
  resolveChoices,
  revisionNames,
} from './revision.ts';
export { type RevisionInfo, revisionInfo } from './revision-info.ts';
export { type EventSource, Runner } from './runner.ts';
export { type SchedHook, Scheduler } from './sched.ts';
export { type EntryState, type Regs, Slots } from './slots.ts';
export { Smp, type SmpFunction } from './smp.ts';
export { Softirq, SoftirqNumber } from './softirq.ts';
export { defineStaticKey, StaticKey, type StaticKeyDefinition } from './static-branch.ts';
export { StopMachine } from './stop-machine.ts';
export { type TaskCode, TaskState, Tasks, TIF_WORK_CTXSW } from './task.ts';
export { UserMm } from './user-mm.ts';
export {
  CALL_FUNCTION_SINGLE_VECTOR,
  HYPERVISOR_CALLBACK_VECTOR,
  RESCHEDULE_VECTOR,
  VECTOR_BREAKPOINT,
  VECTOR_DEBUG,
} from './vectors.ts';
export type { MmapRequest, VmArea, VmFaultResult, VmFile } from './vm-areas.ts';
