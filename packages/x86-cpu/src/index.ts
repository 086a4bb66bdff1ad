// SPDX-License-Identifier: MIT

export type { RightsRegisters, WalkRights } from './access.ts';
export { type AccessKind, type AccessMode, decideAccess, keyViolation } from './access.ts';
export { formatAddress, toAddress } from './address.ts';
export type { CellType, FieldDefinition, ForkPolicy } from './cell.ts';
export { Column, hashName, PerCpu } from './cell.ts';
export { Cpu, LONG_MODE, type RegisterColumns } from './cpu.ts';
export { type EventHandlers, type Fault, Outcome, TripleFault } from './fault.ts';
export {
  type Chooser,
  type CpuFeatures,
  type Journal,
  Machine,
  type MachineOptions,
} from './machine.ts';
export {
  type Backing,
  BusError,
  CHUNK_SIZE,
  Chunk,
  LINE_SIZE,
  PhysicalMemory,
  Region,
} from './memory.ts';
export type { OperationHook, OpKind } from './operation.ts';
export { EXTABLE, FAULTABLE, FAULTED, FIXED_UP, KIND_MASK, Op, opNames } from './operation.ts';
export {
  entryFrame,
  entryHigh,
  entryKey,
  entryLow,
  LARGE_PAGE_SIZE,
  newWalk,
  PAGE_SIZE,
  PTE_A,
  PTE_D,
  PTE_G,
  PTE_P,
  PTE_PS,
  PTE_RW,
  PTE_US,
  type Walk,
  walkPage,
} from './paging.ts';
export * from './registers.ts';
