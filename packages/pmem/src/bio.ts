// SPDX-License-Identifier: MIT
// struct bio: a request to a block device. include/linux/blk_types.h

import { EINVAL, KernelError } from '@pkslab/kernel';
import { PAGE_SIZE } from '@pkslab/x86-cpu';

// Flags of a bio.
export const REQ_PREFLUSH: number = 1 << 0; // flush before the data
export const REQ_FUA: number = 1 << 1; // the data are durable when the request is done

/** A run of bytes within one page: of kernel memory by its pfn, or of a host buffer. */
export type BioVec =
  | { readonly pfn: number; readonly offset: number; readonly length: number }
  | { readonly buffer: Uint8Array; readonly offset: number; readonly length: number };

const OPERATIONS = ['read', 'write', 'flush', 'writeZeroes', 'discard'] as const;

/** What a bio asks for. */
export type BioOperation = (typeof OPERATIONS)[number];

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

/**
 * Refuses what no block layer could have built: an operation that there is none of, a segment that lies outside its
 * buffer or page, a flush with data.
 *
 * @throws {KernelError} EINVAL; it says what is wrong.
 */
export function checkBio({ operation, segments }: Bio): void {
  if (!OPERATIONS.includes(operation)) {
    throw new KernelError(
      EINVAL,
      `bio: operation '${operation}'; give one of ${OPERATIONS.join(', ')}`,
    );
  }
  for (const segment of segments) checkSegment(operation, segment);
}

function checkSegment(operation: BioOperation, segment: BioVec): void {
  const { offset, length } = segment;
  if (!isCount(offset) || !isCount(length)) {
    throw malformed(segment, 'give whole numbers from 0 on');
  }
  if (operation === 'flush' && length > 0) throw malformed(segment, 'a flush has no data');
  if ('pfn' in segment) {
    if (!isCount(segment.pfn)) throw malformed(segment, `pfn ${segment.pfn} is no page`);
    if (offset + length > PAGE_SIZE) throw malformed(segment, `a page has ${PAGE_SIZE} bytes`);
    return;
  }
  // Zeroes come from nowhere: such a segment says only how many.
  if (operation === 'writeZeroes') return;
  const { length: size } = segment.buffer;
  if (offset + length > size) throw malformed(segment, `its buffer has ${size} bytes`);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function malformed({ offset, length }: BioVec, why: string): KernelError {
  return new KernelError(EINVAL, `bio: segment of ${length} bytes at ${offset}: ${why}`);
}
