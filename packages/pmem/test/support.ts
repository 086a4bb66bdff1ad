// SPDX-License-Identifier: MIT
import { dax } from '@pkslab/dax';
import { type BootOptions, boot, type Kernel } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import {
  type AttachRequest,
  type MemoryMedia,
  memoryMedia,
  type PmemDevice,
  type PmemDriver,
  pmem,
} from '../src/index.ts';

export const MIB: number = 2 ** 20;

export interface Rig {
  readonly kernel: Kernel;
  readonly driver: PmemDriver;
  readonly media: MemoryMedia;
  readonly device: PmemDevice;
}

export function bootStack(options: BootOptions = {}): Kernel {
  return boot({ cpus: 2, modules: [pksCore, memremap, kmap, dax, pmem], ...options });
}

export function rig(options: BootOptions = {}, request: Partial<AttachRequest> = {}): Rig {
  const kernel = bootStack(options);
  const media = memoryMedia(8 * MIB);
  const driver = kernel.module(pmem);
  const device = kernel.call(() => driver.attachDisk({ media, ...request }));
  return { kernel, driver, media, device };
}

/** Bytes that tell their place. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >>> 8) * 7 + seed) & 0xff);
}

/** What the media hold. */
export function onMedia(
  media: { read(offset: number, into: Uint8Array): void },
  offset: number,
  length: number,
): Uint8Array {
  const bytes = new Uint8Array(length);
  media.read(offset, bytes);
  return bytes;
}
