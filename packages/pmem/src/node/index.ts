// SPDX-License-Identifier: MIT

export {
  createImage,
  defaultPmemLimit,
  FileMedia,
  type FileMediaOptions,
  openFileMedia,
} from './file-media.ts';
export { imageUser } from './image-lock.ts';
export { MediaError, type MediaErrorCode } from './media-error.ts';
export { NbdServer, type NbdServerOptions, serveNbd } from './nbd-server.ts';
export { type NbdCounters, PmemExport, type PmemExportOptions } from './pmem-export.ts';
export { ServeError } from './serve-error.ts';
