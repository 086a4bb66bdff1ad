// SPDX-License-Identifier: MIT
// What stands behind a pmem device.

import type { Backing } from '@pkslab/x86-cpu';

/**
 * The cells of a persistent memory device: what is still there after a power failure.
 *
 * `write` receives lines that were written back and fenced; `flush` makes them proof against the loss of power
 * of whatever the media themselves are (a file's host, say). Offsets count bytes from the start. What they throw
 * is an error of the device: see `AttachRequest.onMediaError`.
 */
export interface Media extends Backing {
  /** Bytes; a multiple of 4096. */
  readonly size: number;
  /** Whether writes are refused; default no. */
  readonly readOnly?: boolean;
  read(offset: number, into: Uint8Array): void;
  write(offset: number, bytes: Uint8Array): void;
  flush(): void;
  /** Gives the media back to the host. May be called again. */
  close(): void;
}
