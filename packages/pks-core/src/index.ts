// SPDX-License-Identifier: MIT
export { pksChoices } from './choices.ts';
export { KeyAllocator } from './key-allocator.ts';
export {
  getNewPkr,
  INIT_PKRS_VALUE,
  PKEY_DISABLE_ACCESS,
  PKEY_DISABLE_WRITE,
  PKR_AD_BIT,
  PKR_BITS_PER_PKEY,
  PKR_WD_BIT,
  PKS_KERN_DEFAULT_KEY,
  PKS_NUM_KEYS,
  pkrAdKey,
} from './pkr.ts';
export { Pkrs, pkrsCacheField, savedPkrsField } from './pkrs.ts';
export { type Pks, pksCore } from './pks.ts';
export { PksTest, pksTest, pksTestChoices, RUN_PKS } from './pks-test.ts';
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
