// SPDX-License-Identifier: MIT

export type { Behaviour, Defect, WhatIf } from './defects/defect.ts';
export {
  type DefectVerdict,
  defects,
  defectsTable,
  findings,
  isBehaviour,
  isWhatIf,
  scenarioOf,
  showDefect,
  showWhatIf,
} from './defects.ts';
export { type PhaseOptions, type PhaseProgress, runPhase } from './demo/phase.ts';
export { type CanaryEffect, complaints, type PhaseResult } from './demo/result.ts';
export {
  compareImages,
  encodeRecord,
  type ImageDifference,
  LogReplay,
  type WriteLog,
} from './demo/write-log.ts';
export { legalCalls, pksInvariants } from './invariants.ts';
export {
  defectName,
  repairsOf,
  type ShownDefect,
  searchBehind,
  shownDefects,
  violationText,
} from './matrix.ts';
export type { SelfTest } from './programme/bench.ts';
export {
  isSabotaged,
  programme,
  programmeChoices,
  programmeSlices,
  protectionText,
  runSabotage,
  runSelfTest,
  type SabotageResult,
  sabotageNames,
  type TestResult,
} from './programme.ts';
export { scenarios } from './scenarios/index.ts';
export { type SmallStack, smallStack } from './scenarios/small-stack.ts';
export { arrayDisk, type Disk } from './sqlite/disk.ts';
export {
  IMAGE_SIZE_MIN,
  type ImageExtent,
  type Layout,
  layoutOf,
  volumeState,
} from './sqlite/layout.ts';
export { loadSqlite } from './sqlite/load.ts';
export { StackDisk } from './sqlite/stack-disk.ts';
export { DATABASE_NAME, installVolumeVfs, type VolumeVfs } from './sqlite/vfs.ts';
export { ImageError, Volume, type VolumeFile } from './sqlite/volume.ts';
export { bootStack, type Stack, type StackOptions, stackModules, stackSlices } from './stack.ts';
export { StraysBeside } from './stray/beside.ts';
export { type StrayContext, type StrayCounts, strayContexts, sumStrays } from './stray/kinds.ts';
export { TEST_PKS_LINE, type TestPksOptions, testPks } from './test-pks.ts';
export {
  TEST_PKS_NAMES,
  type TestPksName,
  type TestPksRun,
  testPksV10,
} from './test-pks-v10.ts';
