// SPDX-License-Identifier: MIT

export type { RightsRegisters, WalkRights } from './access.ts';
export {
  type AccessKind,
  type AccessMode,
  decideAccess,
  keyViolation,
  pagingAllows,
} from './access.ts';
export { formatAddress, toAddress } from './address.ts';
export type { CellOwner, CellType, FieldDefinition, ForkPolicy } from './cell.ts';
export { Column, hashName, PerCpu } from './cell.ts';
export { type Backing, CHUNK_SIZE, Chunk, LINE_SIZE, Region } from './chunk.ts';
export {
  type ClassCount,
  type ConformanceFailure,
  type ConformanceReport,
  conformanceReport,
  describeOutcome,
  formatConformance,
  runConformance,
  runSuite,
  type SuiteResult,
} from './conformance.ts';
export { MachineCore, type MachineOptions, type TlbSnapshot } from './core.ts';
export { Cpu, LONG_MODE, NO_TABLE, type RegisterColumns } from './cpu.ts';
export { type CpuidResult, cpuid } from './cpuid.ts';
export {
  type ExplainedAccess,
  type ExplainedEntry,
  type ExplainedWalk,
  explainEntries,
  explainWalk,
  formatWalk,
  type WalkQuestion,
} from './explain.ts';
export {
  EndlessRetry,
  type EventHandlers,
  type Fault,
  Outcome,
  RETRIES_MAX,
  TripleFault,
} from './fault.ts';
export { type InterruptOptions, Interrupts } from './interrupts.ts';
export { Machine } from './machine.ts';
export { MarkWindow } from './mark-window.ts';
export { BusError, PhysicalMemory } from './memory.ts';
export {
  type Behaviours,
  type CpuFeatures,
  type CpuModelName,
  cpuModels,
  sdmBehaviours,
} from './model.ts';
export type { OperationHook, OpKind } from './operation.ts';
export {
  EXTABLE,
  FAULTABLE,
  FAULTED,
  FIXED_UP,
  Flush,
  KIND_MASK,
  NON_TEMPORAL,
  Op,
  operationKindName,
  opNames,
  STACK,
  THIS_CPU,
  WIDE,
} from './operation.ts';
export {
  entryFrame,
  entryHigh,
  entryKey,
  entryLow,
  entryReserved,
  HUGE_PAGE_SIZE,
  isLeaf,
  LARGE_PAGE_SIZE,
  newWalk,
  PAGE_SIZE,
  type PagingFormat,
  PTE_A,
  PTE_D,
  PTE_G,
  PTE_P,
  PTE_PS,
  PTE_RW,
  PTE_US,
  reservedHighBits,
  tableIndex,
  type Walk,
  WIDEST_FORMAT,
  walkPage,
} from './paging.ts';
export { Invpcid } from './pcid.ts';
export { acknowledgeEvent, deliverableEvent, raiseEvent } from './pending.ts';
export {
  CR0_AM,
  CR0_CD,
  CR0_EM,
  CR0_ET,
  CR0_MP,
  CR0_NE,
  CR0_NW,
  CR0_PE,
  CR0_PG,
  CR0_TS,
  CR0_WP,
  CR4_FSGSBASE,
  CR4_LA57,
  CR4_MCE,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  CR4_UMIP,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  EFER_SCE,
  IA32_EFER,
  IA32_PKRS,
  PF_I,
  PF_P,
  PF_PK,
  PF_RSVD,
  PF_U,
  PF_W,
  SAVED_AC,
  SAVED_IF,
  SAVED_USER,
  VECTOR_DF,
  VECTOR_GP,
  VECTOR_MC,
  VECTOR_NMI,
  VECTOR_PF,
  VECTOR_SS,
  VECTOR_UD,
} from './registers.ts';
export { Replayer, type ReplayResult } from './replay.ts';
export { type BackingErrors, ReportingBacking } from './reporting-backing.ts';
export type { Chooser, Journal, MachineState } from './state.ts';
export { type Mapping, type PageSize, PageTables } from './tables.ts';
export type { TlbEntry } from './tlb.ts';
export { modeOf, type VectorAccess, type VectorAction } from './vector-access.ts';
export { CaseReader, vectorCase } from './vector-case.ts';
export { type AccessRules, outcomeByRules, sdmRules, walkEntries } from './vector-rules.ts';
export type { VectorCase, VectorEntry } from './vector-state.ts';
export {
  ANY_FLAGS,
  RECORD_BYTES,
  readVectorIndex,
  readVectors,
  type SuiteDescription,
  type VectorDimension,
  VectorError,
  type VectorIndex,
  VectorOutcome,
  type VectorSuite,
} from './vectors.ts';
export { type SeenCell, type WaitedCell, waitedCells } from './waited-cells.ts';
export { loadAt, readCr2, type ScalarSize, splitAddress, storeAt } from './wide.ts';
