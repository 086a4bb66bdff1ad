// SPDX-License-Identifier: MIT

export { type DaxUnlockOrder, daxChoices } from './choices.ts';
export { Dax, type DaxRequest, dax } from './dax.ts';
export {
  DAX_DEVICES_MAX,
  DAXDEV_ALIVE,
  DAXDEV_SYNC,
  DAXDEV_WRITE_CACHE,
  DaxDevice,
  type DaxOperations,
  type DirectAccess,
} from './device.ts';
export { IovIter } from './iov-iter.ts';
