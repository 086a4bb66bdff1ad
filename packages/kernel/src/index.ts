// SPDX-License-Identifier: MIT

export type { SymbolNames } from './backtrace.ts';
export { kernelChoices } from './choices.ts';
export {
  Debugfs,
  type DebugfsFile,
  OPEN_FILES_MAX,
  type OpenFile,
  type UserBuffer,
} from './debugfs.ts';
export { Entry, RESCHEDULE_VECTOR, type StatePassing, VECTOR_MC, VECTOR_NMI } from './entry.ts';
export * from './errno.ts';
export { PF_USER_MEMORY } from './fault.ts';
export {
  type BootOptions,
  boot,
  INITCALL_LEVELS,
  type InitcallLevel,
  Kernel,
  type KernelModule,
} from './kernel.ts';
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
export {
  type ChoiceSlice,
  type Choices,
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
export { defineStaticKey, StaticKey, type StaticKeyDefinition } from './static-branch.ts';
export { type TaskCode, TaskState, Tasks, TIF_WORK_CTXSW } from './task.ts';
