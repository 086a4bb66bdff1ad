// SPDX-License-Identifier: MIT

export type { AttachRequest, DevDaxAttachRequest, NamespaceMode } from './attach-request.ts';
export type { BadRange } from './bad-blocks.ts';
export { SECTOR_SIZE } from './bad-blocks.ts';
export { type Bio, type BioOperation, type BioVec, REQ_FUA, REQ_PREFLUSH } from './bio.ts';
export { type DetachOrder, pmemChoices } from './choices.ts';
export {
  type CrashImage,
  CrashPoint,
  crashedMedia,
  crashPoint,
  crashPointsOf,
  type OpenLine,
  type PersistenceDomain,
  type StoreRecord,
} from './crash-point.ts';
export { PMEM_DEVICES_MAX, PmemDriver, pmem } from './driver.ts';
export { faultyMedia, type MediaFaults } from './faulty-media.ts';
export {
  decodeInfoBlock,
  encodeInfoBlock,
  INFO_BLOCK_OFFSET,
  INFO_BLOCK_SIZE,
  type InfoBlock,
  InfoBlockError,
  type InfoBlockErrorCode,
  type InfoBlockMap,
  type InfoBlockMode,
  type InfoBlockRequest,
  infoBlockFor,
} from './info-block.ts';
export type { Media } from './media.ts';
export { MediaLoss } from './media-errors.ts';
export { type MediaCounters, MemoryMedia, memoryMedia } from './memory-media.ts';
export { type Namespace, openNamespace, readInfoBlock } from './namespace.ts';
export type { NbdExport } from './nbd/export.ts';
export type { NbdTransport } from './nbd/reply-output.ts';
export { type NbdProgress, NbdSession } from './nbd/session.ts';
export { residentChunksFor } from './nvdimm.ts';
export { PmemDevice } from './pmem-device.ts';
export { type PersistenceEvent, StoreLog } from './store-log.ts';
