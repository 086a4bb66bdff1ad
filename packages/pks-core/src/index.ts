// SPDX-License-Identifier: MIT
export { pksChoices } from './choices.ts';
export { InitValue } from './init-value.ts';
export { KeyAllocator } from './key-allocator.ts';
export { KeyCallbacks, type PksKeyCallback } from './key-callbacks.ts';
export type { Keys } from './keys.ts';
export { keyOfAddress, lookupAddress, pteFlagsPkey } from './lookup-address.ts';
export {
  getNewPkr,
  INIT_PKRS_VALUE,
  PKEY_DISABLE_ACCESS,
  PKEY_DISABLE_WRITE,
  PKEY_READ_WRITE,
  PKR_AD_BIT,
  PKR_BITS_PER_PKEY,
  PKR_WD_BIT,
  PKS_KERN_DEFAULT_KEY,
  PKS_NUM_KEYS,
  pkrAdKey,
  pkrMask,
  pkrPair,
} from './pkr.ts';
export { Pkrs, pkrsCacheField, savedPkrsField } from './pkrs.ts';
export { type Pks, pksCore } from './pks.ts';
export { isPksConfigured, pksConfig, pksTestConfig } from './pks-config.ts';
export {
  type PksConsumer,
  pksDeclareInitValue,
  pksNewKey,
  type StaticKeyNumbers,
  staticKeyNumbers,
} from './pks-keys.ts';
export { PksTest, pksTest, pksTestChoices, RUN_PKS, type TestProgramme } from './pks-test.ts';
export {
  ACCESS_ROWS,
  AccessTest,
  faultCountField,
  type TestHandler,
  testArmedKeyField,
} from './pks-test-access.ts';
export {
  TestContexts,
  testCpuEnabledField,
  testPassField,
  testPkeyField,
} from './pks-test-context.ts';
export { PksTestRun, type TestPage } from './pks-test-run.ts';
export { PksCommand, PksTestSessions } from './pks-test-session.ts';
export { StaticKeys } from './static-keys.ts';
export { UserPkeys } from './user-pkeys.ts';
export { Verbs } from './verbs.ts';
