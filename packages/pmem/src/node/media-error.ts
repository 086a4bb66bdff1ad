// SPDX-License-Identifier: MIT
// Why an image could not be used.

import { EBUSY, EEXIST, EINVAL, EIO, ENOENT, EROFS, KernelError } from '@pkslab/kernel';

/**
 * - `missing` — there is no such file.
 * - `exists` — there is one already, where a new one was to be made.
 * - `readOnly` — it may not be written to.
 * - `size` — its size is not a positive multiple of 4096 bytes.
 * - `notAFile` — it is a folder, a device or something else.
 * - `mode` — it is a namespace of another kind.
 * - `inUse` — another process, or this one, has it open.
 * - `closed` — it was used after `close`.
 * - `host` — the host failed: `cause` says how.
 */
export type MediaErrorCode =
  | 'missing'
  | 'exists'
  | 'readOnly'
  | 'size'
  | 'notAFile'
  | 'mode'
  | 'inUse'
  | 'closed'
  | 'host';

const ERRNO: Readonly<Record<MediaErrorCode, number>> = {
  missing: ENOENT,
  exists: EEXIST,
  readOnly: EROFS,
  size: EINVAL,
  notAFile: EINVAL,
  mode: EINVAL,
  inUse: EBUSY,
  closed: EIO,
  host: EIO,
};

/** An image that could not be opened, made or used; the image is as it was. The message says what to do. */
export class MediaError extends KernelError {
  override readonly name: string = 'MediaError';
  readonly code: MediaErrorCode;
  readonly path: string;

  constructor(code: MediaErrorCode, path: string, what: string, cause?: unknown) {
    super(ERRNO[code], `image ${path}: ${what}`);
    this.code = code;
    this.path = path;
    if (cause !== undefined) this.cause = cause;
  }
}

/** The host's error code of a failed call (`ENOENT`), or an empty string. */
export function hostCode(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}
