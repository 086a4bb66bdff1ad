// SPDX-License-Identifier: MIT

export {
  createImage,
  defaultPmemLimit,
  FileMedia,
  type FileMediaOptions,
  openFileMedia,
} from './file-media.ts';
export { MediaError, type MediaErrorCode } from './media-error.ts';
