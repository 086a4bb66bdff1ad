// SPDX-License-Identifier: MIT
// What a client is served from.

/** An export. Calls are whole when they return, and give 0 or a positive errno. */
export interface NbdExport {
  readonly name: string;
  readonly description: string;
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  /** Reads into `into` from `at` on. */
  read(offset: number, into: Uint8Array, at: number, length: number): number;
  /** Writes; with `fua`, everything written so far is durable when it returns. */
  write(offset: number, from: Uint8Array, at: number, length: number, fua: boolean): number;
  writeZeroes(offset: number, length: number): number;
  /** Everything written so far, by any client, is durable when it returns. */
  flush(): number;
}
