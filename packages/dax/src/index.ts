// SPDX-License-Identifier: MIT

export { type DaxUnlockOrder, daxChoices, type WritecacheMap } from './choices.ts';
export { Dax, type DaxRequest, dax } from './dax.ts';
export {
  DAX_DEVICES_MAX,
  DAXDEV_ALIVE,
  DAXDEV_SYNC,
  DAXDEV_WRITE_CACHE,
  DaxDevice,
  type DaxDeviceCells,
  type DaxOperations,
  type DirectAccess,
} from './device.ts';
export {
  DEV_DAX_ALIGNMENTS,
  DevDax,
  type DevDaxRequest,
  devDaxProbe,
} from './device-dax.ts';
export { type DaxFault, Fsdax } from './fs-dax.ts';
export {
  type Extent,
  flatExtents,
  type Iomap,
  type IomapOperations,
  type IomapType,
} from './iomap.ts';
export { IovIter } from './iov-iter.ts';
export { Writecache } from './writecache.ts';
