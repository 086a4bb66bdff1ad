// SPDX-License-Identifier: MIT
// What is asked of an attach, and what is refused.

import { EINVAL, KernelError } from '@pkslab/kernel';
import { PAGE_SIZE } from '@pkslab/x86-cpu';
import { PERSISTENCE_DOMAINS, type PersistenceDomain } from './crash-point.ts';
import type { Media } from './media.ts';

const NAMESPACE_MODES = ['fsdax', 'raw'] as const;

/** What a namespace is: with struct pages, so that it can be protected and mapped, or without. */
export type NamespaceMode = (typeof NAMESPACE_MODES)[number];

export interface AttachRequest {
  readonly media: Media;
  /** Physical address, a multiple of 128 MiB above RAM; default behind what there is, from 4 GiB on. */
  readonly physical?: number;
  /** Default `pmem0`, `pmem1`, … */
  readonly name?: string;
  /** Default `fsdax`. A raw namespace has no struct pages and no protection. */
  readonly mode?: NamespaceMode;
  /** Default what the media say. */
  readonly readOnly?: boolean;
  /**
   * What the platform saves of it when the power fails; default `adr`. With `eadr` the caches are saved too, as the
   * firmware says by its capability bit (ND_REGION_PERSIST_CACHE, `cpu_cache` in sysfs): the queue has no write cache
   * then, and dax_flush writes nothing back.
   */
  readonly persistence?: PersistenceDomain;
  /**
   * Told of every error that the media throw, and of a `MediaLoss` if they end with bytes that they did not take. The
   * kernel sees a device error: what cannot be read becomes bad blocks, and flushes are −EIO.
   */
  readonly onMediaError?: (error: unknown) => void;
}

export interface DevDaxAttachRequest {
  readonly media: Media;
  readonly physical?: number;
  /** Default `dax0.0`. */
  readonly name?: string;
  /** Bytes of the pages that it maps: 4096, 2 MiB (default) or 1 GiB. */
  readonly alignment?: number;
  /** As for a disk. */
  readonly onMediaError?: (error: unknown) => void;
}

/** @throws {KernelError} EINVAL for a size that does not fit, and for a word that there is none of. */
export function checkAttach({ media, mode, persistence }: AttachRequest): void {
  checkMedia(media);
  // A word that is misspelt must not become the default: raw has no protection, and fsdax has.
  checkWord('mode', NAMESPACE_MODES, mode);
  checkWord('persistence', PERSISTENCE_DOMAINS, persistence);
}

function checkWord(what: string, choices: readonly string[], word: string | undefined): void {
  if (word === undefined || choices.includes(word)) return;
  throw new KernelError(EINVAL, `pmem: ${what} '${word}'; give ${choices.join(' or ')}`);
}

/** @throws {KernelError} EINVAL for a size that does not fit. */
export function checkMedia({ size }: Media): void {
  if (Number.isSafeInteger(size) && size > 0 && size % PAGE_SIZE === 0) return;
  throw new KernelError(
    EINVAL,
    `pmem: media of ${size} bytes; give a positive multiple of ${PAGE_SIZE}`,
  );
}
