// SPDX-License-Identifier: MIT
// struct bio: a request to a block device. include/linux/blk_types.h

// Flags of a bio.
export const REQ_PREFLUSH: number = 1 << 0; // flush before the data
export const REQ_FUA: number = 1 << 1; // the data are durable when the request is done

/** A run of bytes within one page: of kernel memory by its pfn, or of a host buffer. */
export type BioVec =
  | { readonly pfn: number; readonly offset: number; readonly length: number }
  | { readonly buffer: Uint8Array; readonly offset: number; readonly length: number };

/** What a bio asks for. */
export type BioOperation = 'read' | 'write' | 'flush' | 'writeZeroes' | 'discard';

/** A request: its segments one after another, from a sector of 512 bytes on. */
export interface Bio {
  readonly operation: BioOperation;
  readonly sector: number;
  /** REQ_PREFLUSH, REQ_FUA. */
  readonly flags?: number;
  readonly segments: readonly BioVec[];
}

/** bio_sectors, in bytes. */
export function bioLength(bio: Bio): number {
  return bio.segments.reduce((sum, { length }) => sum + length, 0);
}
