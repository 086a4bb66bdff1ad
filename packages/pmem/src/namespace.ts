// SPDX-License-Identifier: MIT
// What media hold: a raw namespace, or the data behind an info block. nd_pfn_probe, nvdimm_setup_pfn

import { PAGE_SIZE } from '@pkslab/x86-cpu';
import {
  decodeInfoBlock,
  INFO_BLOCK_OFFSET,
  INFO_BLOCK_SIZE,
  type InfoBlock,
  type InfoBlockMode,
} from './info-block.ts';
import type { Media } from './media.ts';

export interface Namespace {
  /** `raw`: there is no info block, and all of the media are data. */
  readonly mode: 'raw' | InfoBlockMode;
  readonly block: InfoBlock | null;
  /** What the driver gets: the data alone. Closing it closes the media. */
  readonly data: Media;
}

/**
 * Reads what media say of themselves.
 *
 * Use it before `attachDisk` (raw, fsdax) or `attachDevDax`, whose memory is `data`: nothing that the driver or a
 * stray store does reaches the info block then.
 *
 * @throws {InfoBlockError} for an info block that is damaged, or that is not of media of this size. Linux takes
 * such media for a raw namespace where the checksum is wrong; here nobody may write over what can be repaired.
 * @example
 * openNamespace(memoryMedia(2 ** 24)).mode; // => 'raw'
 */
export function openNamespace(media: Media): Namespace {
  const block = readInfoBlock(media);
  if (block === null) return { mode: 'raw', block, data: media };
  const start = block.startPad + block.dataoff;
  return { mode: block.mode, block, data: windowOf(media, start, block.npfns * PAGE_SIZE) };
}

/**
 * The info block of media; null without one.
 *
 * @throws {InfoBlockError} as {@link openNamespace}.
 * @example
 * readInfoBlock(memoryMedia(2 ** 24)); // => null
 */
export function readInfoBlock(media: Media): InfoBlock | null {
  if (media.size < INFO_BLOCK_OFFSET + INFO_BLOCK_SIZE) return null;
  const bytes = new Uint8Array(INFO_BLOCK_SIZE);
  media.read(INFO_BLOCK_OFFSET, bytes);
  return decodeInfoBlock(bytes, media.size);
}

/** A part of media, as media. */
function windowOf(media: Media, start: number, size: number): Media {
  return {
    size,
    readOnly: media.readOnly ?? false,
    read: (offset, into) => media.read(start + offset, into),
    write: (offset, bytes) => media.write(start + offset, bytes),
    flush: () => media.flush(),
    close: () => media.close(),
  };
}
